"""Inference from files in the runtimes that run them: python -m benchmarks.inference.

MobileNetV2 for 1000 classes with random weights, every 1x1 kernel and the classifier at
a rate from a tile on their narrow side, so that what folding wraps or replicates is
small, or on their wide one; the network as `dense`, `materialise`, `fold` and
`measured` (folded where that is faster in the runtime), and on the narrow side `floor`:
folded, each of these tiles one channel of that side. What is left is the time of all
other layers, and of reading and writing what these stand between: no rate goes below.
(One channel on the wide side is copied to hundreds, which is no floor of anything.)

Every case is a process of its own, all of a batch size take turns on one core, a call
to warm the caches and one that is timed, and a ratio is the median over rounds of the
case over the dense network of the same runtime, or over torch's where torch is
installed. --quick is 96 px and a few rounds.
"""

import argparse
import dataclasses
import importlib.util
import os
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from benchmarks import common, interleave
from neural_epitome.config import Config
from neural_epitome.cost import totals
from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.generators import EpitomeRule
from neural_epitome.epitome.plan import Plan
from neural_epitome.experiment import load_experiment
from neural_epitome.export import inference_model, measured, program
from neural_epitome.planning import RatePlanner
from neural_epitome.planning.base import Planner
from neural_epitome.training import setup
from neural_epitome.training.trained import Trained

CLASSES = 1000
MODES = ("dense", "materialise", "fold", "measured", "floor")
# What has one.
FLOORED = "narrow"
PACKAGES = (
  *("jax", "numpy", "jax2onnx", "onnxruntime", "tensorflow", "ai-edge-litert"),
  "torch",
)
# The module that writes a runtime's files, and what has to be installed.
RUNTIMES = {
  "xla": ("stablehlo", "jax"),
  "onnxruntime": ("onnx", "onnxruntime"),
  "litert": ("litert", "ai_edge_litert"),
}


def configuration(rate: float, side: str, size: int) -> Config:
  """MobileNetV2 as published, its 1x1 kernels and classifier at a rate."""
  config = load_experiment("mbv2_epitome_imagenet")
  rule = EpitomeRule(side=side, routing="tile")
  return dataclasses.replace(
    config,
    data=dataclasses.replace(config.data, image_size=size, classes=CLASSES),
    planner=RatePlanner(rate=rate, rule=rule),
  )


def network(config: Config, planner: Planner) -> Trained:
  """As it ships, with random weights and batch norms that do something."""
  inventory = setup.take_inventory(config, CLASSES)
  config = dataclasses.replace(config, planner=planner)
  plan = setup.make_plan(config, inventory)
  model = setup.build(config, CLASSES, plan)
  images = jnp.zeros((1, *config.data.input_shape))
  initial = jax.jit(lambda key: model.init(key, images, train=False))
  variables = jax.device_get(initial(jax.random.key(0)))
  random = np.random.default_rng(0)

  def statistics_of(path: Any, leaf: np.ndarray) -> np.ndarray:
    spread = random.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
    return spread if path[-1].key == "var" else spread - 1.0

  variables["batch_stats"] = jax.tree_util.tree_map_with_path(
    statistics_of, variables["batch_stats"]
  )
  names = tuple(f"class {index}" for index in range(CLASSES))
  return inference_model.shipped(
    Trained(model, variables, plan, config, names, 0, "raw")
  )


@dataclasses.dataclass(frozen=True)
class Narrowest(Planner):
  """The tiles that another planner makes, one channel where they are shortened."""

  kind: ClassVar[str] = "narrowest"
  planner: Planner

  def plan(self, inventory: Inventory) -> Plan:
    """See the class."""
    plan, tiles = self.planner.plan(inventory), {}
    for path in plan.compressed:
      kernel = plan.kernels[path]
      pairs = zip(kernel.shape, kernel.generator.shape, strict=True)
      shape = tuple(size if size == stored else 1 for size, stored in pairs)
      tiles[path] = dataclasses.replace(kernel.generator, shape=shape)
    return plans.make(inventory.kernels, tiles)


def write_files(
  config: Config, runtime: str, batches: Sequence[int], directory: Path
) -> dict[tuple[str, int], tuple[Path, Trained]]:
  """A file and what it holds, by mode and batch size.

  What is faster folded depends on the batch size, so `measured` has a file for each.
  """
  module: ModuleType = importlib.import_module(
    f"neural_epitome.export.{RUNTIMES[runtime][0]}"
  )
  ready = network(config, config.planner)
  networks = {
    "dense": program.run_as(ready, "decode"),
    "materialise": program.run_as(ready, "materialise"),
    "fold": program.run_as(ready, "fold"),
  }
  if config.planner.rule.side == FLOORED:
    narrowest = network(config, Narrowest(config.planner))
    networks["floor"] = program.run_as(narrowest, "fold")
  files = {}
  for mode, run in tqdm(networks.items(), f"{runtime} files", disable=None):
    path = directory / f"{runtime}_{mode}"
    module.write(path, run)
    # LiteRT's converter computes what depends on no input: the file has full kernels.
    is_dense = runtime == "litert" and mode == "materialise"
    held = networks["dense"] if is_dense else run
    files |= {(mode, batch): (path, held) for batch in batches}
  for batch in batches:
    decoded = measured.faster_decoded(ready, module.compiled, batch)
    path = directory / f"{runtime}_measured_{batch}"
    run = program.run_as(ready, "fold", decoded)
    module.write(path, run)
    files["measured", batch] = path, run
  return files


def save_inputs(config: Config, batch: int, path: Path) -> None:
  """Noise, and what the network says of it before any of it is exported."""
  ready = network(config, config.planner)
  images = np.random.default_rng(1).normal(size=(batch, *config.data.input_shape))
  images = images.astype(np.float32)
  run = jax.jit(lambda x: ready.model.apply(ready.variables, x, train=False))
  np.savez(path, images=images, logits=np.asarray(run(images)))


def measure(
  files: dict[tuple[str, str], Path], inputs: Path, rounds: int, core: int
) -> dict[tuple[str, str], tuple[dict[str, Any], list[float]]]:
  """What each process said when it was ready, and its seconds, turn by turn."""
  workers = {}
  for (runtime, mode), path in tqdm(files.items(), "loading", disable=None):
    arguments = [runtime, str(path), str(inputs), str(core)]
    workers[runtime, mode] = interleave.Worker("benchmarks.inference.worker", arguments)
  taken = interleave.alternate(workers, rounds)
  for worker in workers.values():
    worker.close()
  return {
    case: (workers[case].ready, [turn["seconds"] for turn in turns])
    for case, turns in taken.items()
  }


def rows(
  rate: float, side: str, size: int, batches: Sequence[int], rounds: int, core: int
) -> list[dict[str, Any]]:
  """Rows of one rate, every runtime that is installed, mode and batch size."""
  config, rows = configuration(rate, side, size), []
  with tempfile.TemporaryDirectory() as temporary:
    directory = Path(temporary)
    by_runtime = {
      runtime: write_files(config, runtime, batches, directory)
      for runtime, (_, needed) in RUNTIMES.items()
      if importlib.util.find_spec(needed)
    }
    for batch in batches:
      written = {
        (runtime, mode): files[mode, batch]
        for runtime, files in by_runtime.items()
        for mode in MODES
        if (mode, batch) in files
      }
      files = {case: path for case, (path, _) in written.items()}
      if importlib.util.find_spec("torch"):
        files["torch", "dense"] = Path(os.devnull)
      inputs = directory / "inputs.npz"
      save_inputs(config, batch, inputs)
      timings = measure(files, inputs, rounds if batch == 1 else rounds // 2, core)
      torch = timings.get(("torch", "dense"))
      for (runtime, mode), (ready, seconds) in timings.items():
        row = {
          "model": "mobilenet_v2",
          "image_size": size,
          "rate": rate,
          "side": side,
          "batch": batch,
          "runtime": runtime,
          "mode": mode,
          "median_ms": round(1e3 * statistics.median(seconds), 2),
          "minimum_ms": round(1e3 * min(seconds), 2),
          "ratio_to_dense": _ratio(seconds, timings[runtime, "dense"][1]),
          "ratio_to_torch": _ratio(seconds, torch[1]) if torch else "",
        }
        row |= _size(*written[runtime, mode]) if runtime != "torch" else _NO_SIZE
        row |= {
          "load_ms": round(ready["load_ms"], 1),
          "peak_ram_bytes": ready["peak_ram_bytes"],
          "max_abs_diff": "" if mode == "floor" else ready["max_abs_diff"],
          "rounds": len(seconds),
        }
        rows.append(row)
  return rows


_NO_SIZE = dict.fromkeys(("file_bytes", "stored_params", "madds", "folded"), "")


def _size(path: Path, run: Trained) -> dict[str, Any]:
  inventory = setup.take_inventory(run.config, CLASSES)
  price = totals.price(run.plan, inventory, run.config.execution)
  folded = run.plan.compressed if run.config.execution == "fold" else ()
  return {
    "file_bytes": path.stat().st_size,
    "stored_params": price.stored_params,
    "madds": price.madds,
    "folded": len(folded),
  }


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
  return round(common.paired_ratio(ours, theirs), 3)


def main() -> None:
  """Measures and writes results/inference.csv, or only prints with --quick."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("--quick", action="store_true", help="96 px, nothing written")
  parser.add_argument("--rates", type=float, nargs="+", default=[2.0, 4.0])
  parser.add_argument("--sides", nargs="+", default=["narrow", "wide"])
  parser.add_argument("--rounds", type=int, default=40)
  cores = sorted(os.sched_getaffinity(0))
  parser.add_argument("--core", type=int, default=cores[-1])
  arguments = parser.parse_args()
  # The layers that are timed to choose, on the core that the networks run on.
  os.sched_setaffinity(0, {arguments.core})
  size, batches, rounds = 224, (1, 8), arguments.rounds
  if arguments.quick:
    size, batches, rounds = 96, (1,), 6
  # Rows of what is not asked for stay as they are.
  kept = [
    row
    for row in common.read("inference")
    if float(row["rate"]) not in arguments.rates or row["side"] not in arguments.sides
  ]
  written = []
  for rate in arguments.rates[:1] if arguments.quick else arguments.rates:
    for side in arguments.sides[:1] if arguments.quick else arguments.sides:
      new = rows(rate, side, size, batches, rounds, arguments.core)
      written += new
      for row in new:
        print(*row.values(), sep="\t")
      if not arguments.quick:
        common.write("inference", written, PACKAGES, kept)
