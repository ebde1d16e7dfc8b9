"""Runs the code of a page in order, in one process: python tests/page_runner.py STEPS.

STEPS is a JSON file of a list of {"language", "text", "where"}. The main program and
`neural_epitome.data.prepare` run in this process, other commands in bash, Python blocks
in one namespace, all in the working directory. What trains is shortened by
`shortenings`, and nothing else is changed. The first step that fails ends it.
"""

import importlib
import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import flags as absl_flags
from absl.testing import flagsaver

import neural_epitome as ne
from neural_epitome import config
from tests import commands

# A block a stage of networks that are many times as deep.
_SHALLOW = {
  "mobilenet_v2": "0.25",
  "efficientnet": "0.25",
  "resnet": "8",
}
_TRAINING = {
  "training.epochs": "0.02",
  "training.reestimation_batches": "1",
}
_SEARCH = {
  "search.examples": "100",
  "search.final_epochs": "0.02",
  "search.strategy.samples": "2",
  "search.strategy.reduction": "0.25",
}
# A block a stage, of the search and of the table that it reads.
_SPACE = {"model.space.stages": "[[4, 24, 1], [4, 40, 1], [4, 64, 1]]"}
# In Python blocks.
_SUBSTITUTIONS = {r"\bepochs=\d+": "epochs=1"}
# Traces whatever is left of a run.
_FLAGS = {"profile_steps": "1:2", "networks": "2"}


def shortenings(chosen: config.Config, mode: str) -> dict[str, str]:
  """Fields of a configuration that make a run of it short, by dotted name."""
  if mode == "latency_table":
    return _SPACE
  values = dict(_TRAINING)
  if chosen.data.dataset == "embedded" and mode != "search":
    values["data.evaluation_split"] = "test[:200]"
  if chosen.name == "quick":
    # Seconds as it is; half of it is enough.
    values["training.epochs"] = "0.5"
  elif shallow := _SHALLOW.get(chosen.model.kind):
    values["model.depth"] = shallow
  if mode == "search":
    values |= _SEARCH | _SPACE
    if chosen.search.strategy.kind != "netadapt":
      values.pop("search.strategy.reduction")
    if chosen.search.strategy.kind == "nat":
      values.pop("search.strategy.samples")
      values |= {"search.strategy.steps": "1", "search.strategy.changes": "2"}
  return values


def shortened(arguments: list[str]) -> list[str]:
  """The command line of the main program with what makes it short behind it."""
  options = dict(re.findall(r"--(\w+)=(\S+)", " ".join(arguments)))
  mode = options.get("mode", "train")
  more = [f"--{name}={value}" for name, value in _FLAGS.items() if name in options]
  if mode in ("train", "search", "latency_table"):
    chosen = commands.configuration(arguments)
    fields = shortenings(chosen, mode)
    more += [f"--config.{field}={value}" for field, value in fields.items()]
  return [*arguments, *more]


def run_shortened(
  chosen: config.Config, workdir: Any, **options: Any
) -> Mapping[str, Any]:
  """`ne.run` of a Python block."""
  for field, text in shortenings(chosen, "train").items():
    chosen = config.override(chosen, field, text)
  return _RUN(chosen, workdir, **options)


_RUN = ne.run


def run_command(line: str) -> int:
  """Runs one command; returns its exit code."""
  program = None
  if "<<" not in line:
    program = commands.module(shlex.split(line, comments=True))
  if program and program[0] == commands.MAIN:
    arguments = program[1] if "--help" in program[1] else shortened(program[1])
    with flagsaver.flagsaver():
      try:
        return importlib.import_module(commands.MAIN).main(["main", *arguments])
      finally:
        absl_flags.FLAGS.unparse_flags()
  if program and program[0] == "neural_epitome.data.prepare":
    try:
      return importlib.import_module(program[0]).main(program[1])
    except SystemExit as error:
      return error.code or 0
  if program and program[0] == "launch.local_cluster":
    own, _, rest = line.partition(" -- ")
    line = f"{own} -- {shlex.join(shortened(shlex.split(rest, comments=True)))}"
  line = re.sub(r"^python\b", shlex.quote(sys.executable), line)
  return subprocess.run(["bash", "-c", line], check=False).returncode


def run_python(text: str, names: dict[str, Any]) -> int:
  """Runs a block in a namespace; an exception of it is raised."""
  for pattern, instead in _SUBSTITUTIONS.items():
    text = re.sub(pattern, instead, text)
  exec(compile(text, "<block>", "exec"), names)
  return 0


def main() -> int:
  """Runs all steps."""
  ne.run = run_shortened
  names: dict[str, Any] = {"__name__": "__main__"}
  for step in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
    print(f"== {step['where']}: {step['text'].splitlines()[0]}", flush=True)
    start = time.monotonic()
    if step["language"] == "python":
      code = run_python(step["text"], names)
    else:
      code = run_command(step["text"])
    print(f"== {time.monotonic() - start:.1f} s", flush=True)
    if code:
      print(f"{step['where']} ended with {code}: {step['text']}")
      return 1
  return 0


if __name__ == "__main__":
  sys.exit(main())
