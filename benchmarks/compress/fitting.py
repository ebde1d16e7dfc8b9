"""A trained network brought into epitomes: what is kept, and what training on regains.

  python -m benchmarks.compress.fitting --seeds=3

MBConv on the embedded images. A dense network is trained; its kernels are fitted to
plans of two and four times fewer numbers, in closed form or with the routing searched;
what that keeps is read with batch-norm statistics measured anew and no weight changed.
Then it is trained on, with and without the dense network as its teacher, and held
against the same plans trained from random numbers: for as long, and for as long as both
trainings together. With the inputs of every kernel measured on some batches, what they
read most is fitted best. Runs are kept in --workdir, so the same command goes on.
"""

import argparse
import dataclasses
import math
import statistics
import sys
from pathlib import Path
from typing import Any

from benchmarks import common, pages, workers
from benchmarks.controls.suites import settings
from neural_epitome.config import Config
from neural_epitome.epitome.generators import (
  ChannelEpitomeRule,
  EpitomeRule,
  LowRankRule,
)
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.errors import UserError
from neural_epitome.planning import RatePlanner
from neural_epitome.runs.malloc import keep_freed_memory

RATES = (2.0, 4.0)
TUNED_EPOCHS = 2.0
# At an even rate of 4 a classifier of ten classes is left two ranks.
UNEVEN = {"allocation": 0.5, "weights": {"classifier/kernel": 4.0}}
FORMS = {
  "channels": RatePlanner(rule=ChannelEpitomeRule()),
  "channels_uneven": RatePlanner(rule=ChannelEpitomeRule(), **UNEVEN),
  "tile": RatePlanner(rule=EpitomeRule(routing="tile")),
  "low_rank": RatePlanner(rule=LowRankRule(), **UNEVEN),
}
# What is done with each; all are also trained on.
DONE = {
  "channels": (
    *("kept_closed", "kept_full", "tuned"),
    *("tuned_taught", "scratch_short", "scratch_long"),
  ),
  "channels_uneven": ("kept_closed", "kept_full", "kept_full_measured", "tuned"),
  "tile": ("kept_closed", "kept_closed_measured", "tuned"),
  "low_rank": ("kept_closed", "kept_closed_measured", "tuned"),
}
# Training batches on which inputs are measured.
MEASURED = 4
# Half of the peak at which the dense network is trained.
TUNED_RATE = 0.5


def configuration(
  dense: Config, form: str, rate: float, what: str, start: str
) -> Config:
  """The run of one row.

  Args:
    dense: the network that is fitted.
    form: of `FORMS`.
    rate: kernels' numbers over stored ones.
    what: of `COLUMNS`.
    start: directory of the dense run.
  """
  training, optimizer = dense.training, dense.optimizer
  peak = TUNED_RATE * optimizer.learning_rate
  if what.startswith("kept"):
    # A few steps that change nothing, then the statistics.
    peak, epochs = 0.0, 0.01
  elif what == "scratch_long":
    peak, epochs = optimizer.learning_rate, training.epochs + TUNED_EPOCHS
  else:
    peak = optimizer.learning_rate if what == "scratch_short" else peak
    epochs = TUNED_EPOCHS
  is_fitted = not what.startswith("scratch")
  return dataclasses.replace(
    dense,
    name=f"{form}_{what}",
    planner=dataclasses.replace(FORMS[form], rate=rate),
    indices=IndexOptions(source="fixed", start="zero"),
    optimizer=dataclasses.replace(optimizer, learning_rate=peak),
    training=dataclasses.replace(
      training,
      epochs=epochs,
      start=start if is_fitted else "",
      fit="closed" if what.startswith("kept_closed") else "full",
      fit_batches=MEASURED if what.endswith("_measured") else 0,
      teacher=start if what == "tuned_taught" else "",
    ),
  )


def run(config: Config, workdir: Path) -> dict[str, Any]:
  """Trains, or finds it done; in a process of its own."""
  import neural_epitome as ne

  keep_freed_memory()
  return ne.run(config, workdir, quiet=True)


def cases() -> list[tuple[str, float, str]]:
  """Form, rate and what is done, of every row but the dense ones."""
  return [(form, rate, what) for rate in RATES for form in FORMS for what in DONE[form]]


# Column of the page: a kind of row, and what was done.
COLUMNS = {
  "kept_closed": "kept, closed form",
  "kept_closed_measured": "closed form, inputs measured",
  "kept_full": "kept, searched",
  "kept_full_measured": "searched, inputs measured",
  "tuned": "trained on",
  "tuned_taught": "and taught",
  "scratch_short": "from scratch, as long",
  "scratch_long": "from scratch, as long as both",
}


def table(rows: list[dict[str, Any]]) -> str:
  """Mean ± standard deviation over seeds, a line a form and rate."""

  def cell(form: str, rate: str, what: str) -> str:
    tops = [
      float(row["top1_percent"])
      for row in rows
      if (row["form"], row["rate"], row["what"]) == (form, rate, what)
    ]
    if not tops:
      return ""
    spread = statistics.stdev(tops) if len(tops) > 1 else math.nan
    return f"{statistics.mean(tops):.1f} ± {spread:.1f}"

  body = [
    [f"`{form}`, rate {rate:g}", *(cell(form, f"{rate:g}", what) for what in COLUMNS)]
    for rate in RATES
    for form in FORMS
  ]
  dense = f"The dense network: {cell('dense', '1', 'trained')}."
  return dense + "\n\n" + pages.markdown(["", *COLUMNS.values()], body)


def main() -> None:
  """Runs what is missing, writes results/fitting.csv and the table of the page."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument(
    "--forms", nargs="+", choices=FORMS, default=list(FORMS), help="others' rows stay"
  )
  parser.add_argument("--workdir", type=Path, default=Path("runs/fitting"))
  parser.add_argument("--workers", type=int, help="runs at a time; one a core")
  arguments = parser.parse_args()
  [setting] = [s for s in settings("2d", "small") if s.backbone == "mbconv"]
  rows: list[dict[str, Any]] = []

  def told(seed: int, form: str, rate: float, what: str, config: Config):
    def keep(report: dict[str, Any]) -> str:
      rows.append(
        {
          "backbone": setting.backbone,
          "dataset": setting.dataset,
          "form": form,
          "rate": f"{rate:g}",
          "what": what,
          "epochs": config.training.epochs,
          "learning_rate": config.optimizer.learning_rate,
          "seed": seed,
          "stored_params": report["stored_params"],
          "top1_percent": round(100 * report["top1"], 2),
          "seconds": round(report["seconds"], 1),
        }
      )
      return f"{rows[-1]['top1_percent']:.2f}%"

    return keep

  def complete(tasks: list[Any]) -> None:
    keeps = {label: keep for label, _, keep in tasks}
    workers.run_all(
      run,
      [(label, task) for label, task, _ in tasks],
      lambda label, report: keeps[label](report),
      deadline=math.inf,
      workers=arguments.workers,
    )

  def seeded(config: Config, seed: int) -> Config:
    training = dataclasses.replace(config.training, seed=seed)
    return dataclasses.replace(config, training=training)

  starts, first, second = {}, [], []
  for seed in range(arguments.seeds):
    dense = seeded(setting.dense, seed)
    starts[seed] = arguments.workdir / f"dense-{seed}"
    keep = told(seed, "dense", 1.0, "trained", dense)
    first.append((f"dense-{seed}", (dense, starts[seed]), keep))
    for form, rate, what in cases():
      if form not in arguments.forms:
        continue
      config = configuration(dense, form, rate, what, str(starts[seed]))
      label = f"{form}-{rate:g}-{what}-{seed}"
      keep = told(seed, form, rate, what, config)
      second.append((label, (config, arguments.workdir / label), keep))
  complete(first)
  complete(second)
  order = [("dense", "1", "trained"), *((f, f"{r:g}", w) for f, r, w in cases())]
  place = {case: index for index, case in enumerate(order)}
  rows.sort(key=lambda r: (place[r["form"], r["rate"], r["what"]], r["seed"]))
  made = {row["form"] for row in rows}
  kept = [row for row in common.read("fitting") if row["form"] not in made]
  page = pages.DOCS / "fitting.md"
  page.write_text(pages.edit(page, {"fitting": table([*kept, *rows])}), "utf-8")
  print(common.write("fitting", rows, kept=kept), page)


if __name__ == "__main__":
  try:
    main()
  except UserError as error:
    sys.exit(f"error: {error}")
