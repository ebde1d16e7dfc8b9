"""--mode=plan: what is stored for each kernel, and the price."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from neural_epitome import codec, config, flags
from neural_epitome.cost import plan_table
from neural_epitome.errors import UserError
from neural_epitome.modes import output
from neural_epitome.report import sentences, summary, tables
from neural_epitome.search import allocation
from neural_epitome.training import setup

SEVERAL_PROCESSES = False


def run(arguments: Sequence[str], overrides: flags.Overrides) -> None:
  """Runs the mode; see `modes`."""
  del arguments
  requested = flags.configuration(overrides)
  chosen, hints = requested, []
  if flags.BUDGET.value is not None:
    chosen, hints = _allocated(requested, flags.BUDGET.value)
  elif flags.ALLOCATION.value is not None:
    raise UserError(f"--allocation={flags.ALLOCATION.value} needs --budget=SIZE.")
  inventory, plan = setup.plan(chosen)
  # The flags that it names are for the next command, which has what was asked for.
  if rest := sentences.about_rest(requested, plan, inventory):
    hints = [rest, *hints]
  price = summary.prices(chosen, plan, inventory)
  data = {"config": codec.encode(chosen), "plan": codec.encode(plan), "price": price}
  parts = [
    sentences.about_plan(chosen, plan, inventory),
    plan_table.plan_table(plan, inventory),
    tables.price_table(price),
    *hints,
  ]
  output.show(lambda: "\n\n".join(parts), data)


def _allocated(chosen: config.Config, budget: str) -> tuple[config.Config, list[str]]:
  """The experiment with the planner that --budget asks for, and how to use it."""
  directory = Path(flags.WORKDIR.value or f"runs/{chosen.name}_allocation").expanduser()
  path = Path(flags.OUTPUT.value or directory / "planner.json").expanduser()
  if path.is_dir():
    raise UserError(f"--output={path} is a directory; name the planner's file.")
  planner = allocation.allocate(
    chosen,
    budget,
    cast(allocation.Method | None, flags.ALLOCATION.value),  # absl checks it
    directory,
    quiet=flags.JSON.value,
  )
  text = json.dumps(codec.encode(planner))
  argument = f"'{text}'"
  if flags.OUTPUT.value or flags.ALLOCATION.value in ("sensitivity", "searched"):
    try:
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
      raise UserError(f"--output={path}: {error.strerror}.") from None
    argument = f"@{path}"
  allocated = dataclasses.replace(chosen, planner=planner)
  if chosen.bits < 32:
    # The bytes were counted with these bits, which the planner does not set.
    argument += f" --config.bits={chosen.bits}"
  return allocated, [f"Train it with --config.planner={argument}"]
