"""Epitomes in integers: rounded after training, and trained as such.

  python -m benchmarks.controls.quantised --seeds=3

MBConv on the embedded images, every kernel at a rate of 8 from a tile whose replicas
have a stored factor each. It is trained in float32 and written with 8 and 4 bits a
number (`ptq`), and trained with so many bits from the first step (`qat`). Top-1 is that
of the network that the compact file holds, and bytes are the file's own. Runs are kept
in --workdir, so the same command goes on.
"""

import argparse
import dataclasses
import math
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks import common, workers
from benchmarks.controls.suites import settings
from neural_epitome.config import Config
from neural_epitome.epitome.generators import EpitomeRule
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.errors import UserError
from neural_epitome.planning import RatePlanner
from neural_epitome.runs.malloc import keep_freed_memory

RULE, RATE = EpitomeRule(routing="tile", scaled=True, side="both"), 8.0
BITS = (8, 4)


def configuration(dense: Config, bits: int, seed: int) -> Config:
  """The run of a seed at so many bits."""
  return dataclasses.replace(
    dense,
    name="tile_scaled",
    planner=RatePlanner(rate=RATE, rule=RULE),
    indices=IndexOptions(source="fixed", start="zero"),
    bits=bits,
    training=dataclasses.replace(dense.training, seed=seed),
  )


def run(config: Config, workdir: Path) -> list[dict[str, Any]]:
  """Trains, or finds it done, and reads its files; in a process of its own.

  Returns:
    One {"bits", "how", "top1_percent", "stored_bytes", "file_bytes", "seconds"} for
    every number of bits that it is written with.
  """
  import neural_epitome as ne
  from neural_epitome.cost import totals
  from neural_epitome.export import compact, inference_model
  from neural_epitome.training import loading, setup

  keep_freed_memory()
  report = ne.run(config, workdir, quiet=True)
  shipped = inference_model.shipped(ne.load(workdir))
  inventory = setup.take_inventory(config, len(shipped.classes))
  rows = []
  for bits in (32, *BITS) if config.bits == 32 else (config.bits,):
    file = workdir / f"bits-{bits}.safetensors"
    compact.write(file, shipped, bits)
    loaded = ne.load(file)
    read_back = dataclasses.replace(loaded, config=shipped.config)
    rows.append(
      {
        "bits": bits,
        "how": "float32" if bits == 32 else "ptq" if config.bits == 32 else "qat",
        "top1_percent": round(100 * loading.evaluate(read_back)["top1"], 2),
        "stored_bytes": totals.price(loaded.plan, inventory).stored_bytes,
        "file_bytes": os.path.getsize(file),
        "seconds": round(report["seconds"], 1),
      }
    )
  return rows


def main() -> None:
  """Runs what is missing, writes results/quantised.csv."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument("--workdir", type=Path, default=Path("runs/quantised"))
  parser.add_argument("--workers", type=int, help="runs at a time; one a core")
  arguments = parser.parse_args()
  [setting] = [s for s in settings("2d", "small") if s.backbone == "mbconv"]
  rows: list[dict[str, Any]] = []

  def done(label: str, results: list[dict[str, Any]]) -> str:
    of = {"backbone": setting.backbone, "dataset": setting.dataset, "rate": RATE}
    seed = {"seed": int(label.partition("-")[0])}
    rows.extend(of | seed | row for row in results)
    return "  ".join(f"{r['how']} {r['bits']}: {r['top1_percent']}%" for r in results)

  tasks = [
    (label, (configuration(setting.dense, bits, seed), arguments.workdir / label))
    for seed in range(arguments.seeds)
    for bits in (32, *BITS)
    for label in [f"{seed}-{bits}"]
  ]
  workers.run_all(run, tasks, done, deadline=math.inf, workers=arguments.workers)
  rows.sort(key=lambda row: (row["seed"], row["how"], -row["bits"]))
  print(common.write("quantised", rows, (*common.PACKAGES, "qwix")))


if __name__ == "__main__":
  try:
    main()
  except UserError as error:
    sys.exit(f"error: {error}")
