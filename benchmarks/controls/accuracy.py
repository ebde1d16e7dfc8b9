"""Accuracy of the shipped experiments: python -m benchmarks.controls.accuracy.

Each experiment with each seed, through `neural_epitome.run`. Runs are kept in
--workdir, so an interrupted measurement goes on where it was. A row a run, and a row
an experiment with mean and spread (standard deviation over seeds).
"""

import argparse
import dataclasses
import statistics
import sys
from pathlib import Path
from typing import Any

import jax

import neural_epitome as ne
from benchmarks import common
from neural_epitome.config import override
from neural_epitome.runs.malloc import keep_freed_memory

SHIPPED = "mbv2_dense,mbv2_epitome,mbv2_tile,mbv2_width,resnet20_epitome"


def main() -> None:
  """Trains and writes results/accuracy_DATASET.csv."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("--experiments", default=SHIPPED, help="names, commas between")
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument("--dataset", default="embedded")
  parser.add_argument("--data_dir", default=None)
  parser.add_argument("--epochs", type=float, help="instead of the experiment's own")
  parser.add_argument("--workdir", default="runs/accuracy")
  parser.add_argument("--output", help="name of the CSV instead of accuracy_DATASET")
  arguments = parser.parse_args()
  keep_freed_memory()  # as the command line does
  rows: list[dict[str, Any]] = []
  for seed in range(arguments.seeds):
    for name in arguments.experiments.split(","):
      config = ne.load_experiment(name)
      config = override(config, "training.seed", str(seed))
      if arguments.epochs:
        config = override(config, "training.epochs", str(arguments.epochs))
      data = dataclasses.replace(
        config.data, dataset=arguments.dataset, data_dir=arguments.data_dir
      )
      config = dataclasses.replace(config, data=data)
      workdir = Path(arguments.workdir) / arguments.dataset / f"{name}-{seed}"
      print(f"{name}, seed {seed}", file=sys.stderr, flush=True)
      report = ne.run(config, workdir, quiet=True)
      rows.append(_row(name, arguments.dataset, str(seed), config, report))
      print(*rows[-1].values(), sep="\t", flush=True)
  for name in arguments.experiments.split(","):
    mine = [row for row in rows if row["experiment"] == name]
    tops = [row["top1_percent"] for row in mine]
    spread = round(statistics.stdev(tops), 2) if len(tops) > 1 else ""
    mean = {"seed": "mean", "top1_percent": round(statistics.mean(tops), 2)}
    seconds = {"seconds": round(statistics.mean(row["seconds"] for row in mine), 1)}
    rows.append(mine[0] | mean | {"spread": spread} | seconds)
  dataset = arguments.dataset.replace("/", "_")
  print(common.write(arguments.output or f"accuracy_{dataset}", rows))


def _row(
  name: str, dataset: str, seed: str, config: Any, report: dict[str, Any]
) -> dict[str, Any]:
  return {
    "experiment": name,
    "dataset": dataset,
    "seed": seed,
    "epochs": config.training.epochs,
    "top1_percent": round(100 * report["top1"], 2),
    "spread": "",
    "stored_params": report["stored_params"],
    "madds": report["madds"],
    "seconds": report["seconds"],
    "device": jax.devices()[0].device_kind,
  }


if __name__ == "__main__":
  main()
