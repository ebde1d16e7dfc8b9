"""Training speed of two checkouts of the project, in turn.

  python -m benchmarks.speed.before_and_after --before=OTHER_CHECKOUT

A change of the code must not cost speed. The main job of each checkout runs in turn, as
a user runs it, and logs its images a second, compilation and input left out as always
(`training.throughput`). A row has the medians of all rounds, and the median over rounds
of the ratio.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import common

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENTS = ("mbv2_epitome", "mbv2_tile", "resnet20_epitome")


def images_per_second(checkout: Path, experiment: str, epochs: float) -> float:
  """The median over the lines that a short run of a checkout logs."""
  with tempfile.TemporaryDirectory() as folder:
    subprocess.run(
      [
        *(sys.executable, "-m", "neural_epitome.main", f"--experiment={experiment}"),
        *(f"--workdir={folder}/run", f"--config.training.epochs={epochs}"),
        *("--config.training.log_every=5", "--config.training.reestimation_batches=0"),
      ],
      cwd=checkout,
      env=os.environ | {"PYTHONPATH": str(checkout)},
      stdout=subprocess.DEVNULL,
      stderr=subprocess.DEVNULL,
      check=True,
    )
    text = Path(folder, "run", "metrics.jsonl").read_text()
  lines = [json.loads(line) for line in text.splitlines()]
  return statistics.median(
    line["images_per_second"] for line in lines if "images_per_second" in line
  )


def compare(
  before: Path, experiment: str, rounds: int, epochs: float
) -> dict[str, Any]:
  """The row of an experiment."""
  speeds: dict[str, list[float]] = {"before": [], "after": []}
  for number in range(rounds):
    # Who is first changes: the machine may grow warm.
    checkouts = [("before", before), ("after", ROOT)]
    for name, checkout in checkouts if number % 2 else reversed(checkouts):
      speeds[name].append(images_per_second(checkout, experiment, epochs))
    print(f"{experiment}, round {number + 1} of {rounds}: {speeds}", file=sys.stderr)
  return {
    "experiment": experiment,
    "rounds": rounds,
    "before": statistics.median(speeds["before"]),
    "after": statistics.median(speeds["after"]),
    "speed_ratio": round(common.paired_ratio(speeds["after"], speeds["before"]), 3),
  }


def main() -> None:
  """Times the experiments and writes results/before_and_after.csv."""
  parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
  parser.add_argument("--before", type=Path, required=True, help="another checkout")
  parser.add_argument("--experiments", default=",".join(EXPERIMENTS))
  parser.add_argument("--rounds", type=int, default=3)
  parser.add_argument("--epochs", type=float, default=0.3)
  options = parser.parse_args()
  commits: dict[str, Any] = {}
  for name, checkout in (("commit_before", options.before), ("commit_after", ROOT)):
    command = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    commits[name] = subprocess.check_output(command, text=True).strip()
  rows = [
    compare(options.before, name, options.rounds, options.epochs) | commits
    for name in options.experiments.split(",")
  ]
  print(common.write("before_and_after", rows))


if __name__ == "__main__":
  main()
