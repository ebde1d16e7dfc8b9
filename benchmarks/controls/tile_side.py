"""Accuracy by the side of the kernels that is tiled.

  python -m benchmarks.controls.tile_side

MBConv on the embedded images, every compressed kernel from a tile on its wide side, as
in the comparison of methods, or on its narrow one, as in the table of inference, where
folding gains more. Seeds are paired; the learning rate is the one that the validation
split chose for `tile` (docs/results/controls.md). Runs are kept in --workdir, so the
same command goes on.
"""

import argparse
import dataclasses
import math
import sys
from pathlib import Path
from typing import Any

from benchmarks import common, workers
from benchmarks.controls.methods import METHODS
from benchmarks.controls.suites import settings
from neural_epitome.config import Config
from neural_epitome.errors import UserError
from neural_epitome.runs.malloc import keep_freed_memory

FACTOR = 4.0


def configuration(dense: Config, side: str, rate: float, seed: int) -> Config:
  """The run of a seed."""
  config = METHODS["tile"].configure(dense, rate, side=side, factor=FACTOR)
  training = dataclasses.replace(config.training, seed=seed)
  return dataclasses.replace(config, name=f"tile_{side}", training=training)


def run(config: Config, workdir: Path) -> dict[str, Any]:
  """Trains, or finds it done; in a process of its own."""
  import neural_epitome as ne
  from neural_epitome.cost import totals
  from neural_epitome.training import setup

  keep_freed_memory()
  report = ne.run(config, workdir, quiet=True)
  inventory, plan = setup.plan(config)
  return {
    "stored_params": report["stored_params"],
    "folded_madds": totals.price(plan, inventory, "fold").madds,
    "top1_percent": round(100 * report["top1"], 2),
    "seconds": round(report["seconds"], 1),
  }


def main() -> None:
  """Runs what is missing, writes results/sides.csv."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument("--rates", type=float, nargs="+", default=[2.0, 4.0])
  parser.add_argument("--workdir", type=Path, default=Path("runs/sides"))
  parser.add_argument("--workers", type=int, help="runs at a time; one a core")
  arguments = parser.parse_args()
  [setting] = [s for s in settings("2d", "small") if s.backbone == "mbconv"]
  cases = {
    f"{rate:g}-{side}-{seed}": {"rate": rate, "side": side, "seed": seed}
    for rate in arguments.rates
    for seed in range(arguments.seeds)
    for side in ("wide", "narrow")
  }
  rows: list[dict[str, Any]] = []

  def done(label: str, columns: dict[str, Any]) -> str:
    of = {"backbone": setting.backbone, "dataset": setting.dataset}
    rows.append(of | cases[label] | columns)
    return f"{label}: {columns['top1_percent']}%"

  tasks = [
    (label, (configuration(setting.dense, **case), arguments.workdir / label))
    for label, case in cases.items()
  ]
  workers.run_all(run, tasks, done, deadline=math.inf, workers=arguments.workers)
  rows.sort(key=lambda row: (row["rate"], row["side"], row["seed"]))
  print(common.write("sides", rows))


if __name__ == "__main__":
  try:
    main()
  except UserError as error:
    sys.exit(f"error: {error}")
