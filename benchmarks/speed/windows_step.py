"""Training step of kernels in windows against dense.

  python -m benchmarks.speed.windows_step

As `step_time`: one process, all variants in turn, ratios within a round. ResNet-20 on
CIFAR-sized images and MobileNetV2; windows whose starts are fixed, and those that are
learned by gradient, where each reads two neighbours.
"""

import argparse
import dataclasses
import statistics
from typing import Any

from benchmarks import common
from benchmarks.speed import step_time
from neural_epitome.config import Config
from neural_epitome.epitome.generators import WindowedEpitomeRule
from neural_epitome.experiment import load_experiment
from neural_epitome.planning import DensePlanner, RatePlanner
from neural_epitome.runs import malloc
from neural_epitome.training import setup

# Kernels of fewer weights than a ring has numbers stay dense.
LENGTH = 512


def variants(experiment: str) -> dict[str, Config]:
  """The networks that are compared, the dense one first."""
  config = dataclasses.replace(
    load_experiment(experiment), planner=DensePlanner(), execution="materialise"
  )
  kernels = setup.take_inventory(config, 10).kernels
  small = tuple(use.path for use in kernels if use.size < LENGTH)
  planner = RatePlanner(rule=WindowedEpitomeRule(length=LENGTH), keep=small)
  windows = dataclasses.replace(config, planner=planner)
  return {
    "dense": config,
    **{
      f"windows, {source}": dataclasses.replace(
        windows, indices=dataclasses.replace(config.indices, source=source)
      )
      for source in ("fixed", "free")
    },
  }


def measure(experiment: str, rounds: int) -> list[dict[str, Any]]:
  """Rows of one network."""
  seconds = step_time.alternated(experiment, variants(experiment), rounds)
  return [
    {
      "experiment": experiment,
      "variant": variant,
      "median_ms": round(1e3 * statistics.median(times), 1),
      "ratio_to_dense": round(common.paired_ratio(times, seconds["dense"]), 3),
      "rounds": rounds,
    }
    for variant, times in seconds.items()
  ]


def main() -> None:
  """Measures and writes results/windows_step.csv."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("--rounds", type=int, default=25)
  arguments = parser.parse_args()
  malloc.keep_freed_memory()
  rows = [
    row
    for experiment in ("resnet20_epitome", "mbv2_dense")
    for row in measure(experiment, arguments.rounds)
  ]
  for row in rows:
    print(*row.values(), sep="\t")
  print(common.write("windows_step", rows))


if __name__ == "__main__":
  main()
