"""Collaborative Compression beside low rank alone and all ways, at equal bytes.

  python -m benchmarks.compress.collaborative --seeds=3

ResNet-8 is trained on a part of the embedded images, a dense network a seed, and its
file made so many times smaller by each arm, without training on. All arms have one
exchange rate of error for bytes over all kernels, so that they differ in what a kernel
may be made of: of 8 bits a number, as the paper's is of floats, or of any bits.
Batch-norm statistics are measured anew. Runs are kept in --workdir, so the same command
goes on.
"""

import argparse
import dataclasses
import json
import math
import statistics
import sys
from pathlib import Path
from typing import Any

from benchmarks import common, pages, workers
from neural_epitome.config import Config
from neural_epitome.errors import UserError
from neural_epitome.experiment import load_experiment
from neural_epitome.planning import DensePlanner
from neural_epitome.runs.malloc import keep_freed_memory

NAME = "collaborative"
RATIOS = (4, 8, 16)
ARMS = {
  "low_rank_8": "8 bits, singular values removed",
  "collaborative_8": "8 bits, inputs and singular values removed",
  "collaborative": "any bits, inputs and singular values removed",
  "best": "all ways (the default)",
}
# Images on which statistics are measured anew.
_MEASURED = 1024


def configuration(seed: int) -> Config:
  """The dense run of a seed."""
  quick = load_experiment("quick")
  return dataclasses.replace(
    quick,
    name="collaborative",
    model=dataclasses.replace(quick.model, width=1.0, dropout=0.0),
    planner=DensePlanner(),
    data=dataclasses.replace(
      quick.data, train_split="train[:4000]", evaluation_split="test"
    ),
    training=dataclasses.replace(
      quick.training, epochs=5.0, seed=seed, tensorboard=False, evaluate_every=1e6
    ),
  )


def run(seed: int, workdir: Path) -> list[dict[str, Any]]:
  """Trains, or finds it done, and compresses; in a process of its own.

  Returns:
    {"arm", "ratio", "stored_bytes", "error", "top1_percent", "pruned_kernels"} of the
    dense network and of every arm and ratio.
  """
  import jax

  import neural_epitome as ne
  from neural_epitome.compression import best, choices, trees
  from neural_epitome.training import loading

  rows_file = workdir / f"rows-{seed}.json"
  if rows_file.exists():
    return json.loads(rows_file.read_text("utf-8"))
  keep_freed_memory()
  config = configuration(seed)
  report = ne.run(config, workdir / f"dense-{seed}", quiet=True)
  trained = ne.load(workdir / f"dense-{seed}")
  images = _images(config)

  def train(tree: Any, batch: Any) -> Any:
    def moved(batch: Any) -> Any:
      return trained.model.apply(tree, batch, train=True, mutable=["batch_stats"])[1]

    # Statistics are those of all devices' images, of which there is one here.
    moves = jax.vmap(moved, axis_name="data")(batch[None])
    return {**tree, **jax.tree.map(lambda leaf: leaf[0], moves)}

  tree = {name: trained.variables[name] for name in ("params", "batch_stats")}
  choosings = {ways: best.prepare(tree, ways=ways, quiet=True) for ways in choices.WAYS}
  every = choosings[NAME]
  for arm, compare in (("low_rank_8", _low_ranks), ("collaborative_8", _states)):
    tables = {path: compare(every.kernel(path)) for path in every.tables}
    choosings[arm] = dataclasses.replace(every, tables=tables)
  whole = sum(leaf.nbytes for leaf in trees.take_apart(tree).arrays.values())
  rows = [_row("dense", 1, whole, 0.0, report["top1"], 0)]
  for arm in ARMS:
    for ratio in RATIOS:
      small = choosings[arm].times_smaller(f"{ratio}x")
      error = math.sqrt(statistics.fmean(e**2 for e in small.errors.values()))
      small = ne.remeasure_statistics(small, train, images, quiet=True)
      made = small.expand(small.compact)
      top1 = loading.evaluate(
        dataclasses.replace(trained, variables={**trained.variables, **made})
      )["top1"]
      pruned = sum(
        bool(getattr(kernel.generator, "without", ()))
        for kernel in small.plan.kernels.values()
      )
      rows.append(_row(arm, ratio, small.totals.stored_bytes, error, top1, pruned))
  rows = [{"seed": seed} | row for row in rows]
  rows_file.write_text(json.dumps(rows), "utf-8")
  return rows


def _row(
  arm: str, ratio: int, nbytes: int, error: float, top1: float, pruned: int
) -> dict[str, Any]:
  return {
    "arm": arm,
    "ratio": ratio,
    "stored_bytes": nbytes,
    "error": round(error, 4),
    "top1_percent": round(100 * top1, 2),
    "pruned_kernels": pruned,
  }


def _states(kernel: Any) -> list[Any]:
  """What Collaborative Compression makes of a kernel, in 8 bits or more."""
  from neural_epitome.compression import choices, hull

  every = choices.compare(kernel, ways="collaborative")
  return hull.lower(choice for choice in every if choice.bits >= 8)


def _low_ranks(kernel: Any) -> list[Any]:
  """The same kernel in full and every rank of all its inputs, in 8 bits or more."""
  from neural_epitome.compression import (
    hull,
    kernel_error,
    low_rank_choices,
    low_rank_factors,
    output_scales,
  )
  from neural_epitome.compression.storage import COMPACT
  from neural_epitome.epitome.generators import LowRank

  full = [one for one in _states(kernel) if not isinstance(one.generator, LowRank)]
  rows = low_rank_factors.relative(kernel).reshape(-1, kernel.shape[-1])
  directions = low_rank_factors.directions(rows)
  if directions is None:
    return full
  ranks = low_rank_choices.of_generators(
    *(kernel, slice(0, kernel.shape[-1]), kernel_error.error_of(kernel), COMPACT),
    *(map(LowRank, range(1, len(directions) + 1)), directions),
    most=output_scales.MOST_SHRINKAGE,
  )
  return hull.lower([*full, *(one for one in ranks if one.bits >= 8)])


def _images(config: Config) -> Any:
  """(_MEASURED, height, width, channels) of the training split, as they are read."""
  import numpy as np

  from neural_epitome.data import pipeline, sources

  source = sources.open_source(config.data, f"train[:{_MEASURED}]")
  with pipeline.evaluation_batches(source, config.data) as batches:
    return np.concatenate([part["image"] for part in batches])[:_MEASURED]


def table(rows: list[dict[str, Any]]) -> str:
  """Error and top-1, mean ± standard deviation over seeds, a line an arm and ratio."""

  def cell(arm: str, ratio: int, what: str) -> str:
    values = [
      float(row[what])
      for row in rows
      if row["arm"] == arm and int(row["ratio"]) == ratio
    ]
    digits = 3 if what == "error" else 1
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.{digits}f} ± {spread:.{digits}f}"

  body = [
    [f"{ratio}x", ARMS[arm], *(cell(arm, ratio, w) for w in ("error", "top1_percent"))]
    for ratio in RATIOS
    for arm in ARMS
  ]
  dense = f"The dense network: {cell('dense', 1, 'top1_percent')}."
  headers = ["smaller", "made of", "error", "top-1 in percent"]
  return dense + "\n\n" + pages.markdown(headers, body)


def main() -> None:
  """Runs what is missing, writes results/collaborative.csv and the page's table."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument("--workdir", type=Path, default=Path("runs/collaborative"))
  parser.add_argument("--workers", type=int, help="runs at a time; one a core")
  arguments = parser.parse_args()
  rows: list[dict[str, Any]] = []

  def done(label: str, results: list[dict[str, Any]]) -> str:
    rows.extend(results)
    return f"seed {label}: {results[0]['top1_percent']}% dense"

  tasks = [(str(s), (s, arguments.workdir)) for s in range(arguments.seeds)]
  workers.run_all(run, tasks, done, deadline=math.inf, workers=arguments.workers)
  rows.sort(key=lambda row: row["seed"])
  print(common.write(NAME, rows))
  pages.write(pages.DOCS / "fitting.md", {NAME: table(common.read(NAME))})


if __name__ == "__main__":
  try:
    main()
  except UserError as error:
    sys.exit(f"error: {error}")
