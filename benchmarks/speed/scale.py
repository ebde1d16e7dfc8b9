"""One run in several processes, and what they exchange: losses, time, bytes.

    python -m benchmarks.speed.scale

Processes of one CPU device each on this machine, over Gloo. `--part` names some of the
parts, and the rows of the others stay as they are in the CSV.

parity: the same run in 1, 2 and 4 processes: the largest difference of any step's loss
  to that of one process; and, from a checkpoint of about half the steps that each has
  saved, resumed in each other number: the largest difference of any loss to those of
  the run that saved it.
step: a step of the same global batch in 1, 2 and 4 processes bound to the same cores,
  in turn, round after round; the ratio is to one process in the same round. What is
  above 1 is what several processes cost beside the work itself.
bytes: what two devices sum in a step, read from its compiled program; the ratio is to
  the dense network, `params` the same for its trained parameters.
accelerator: see benchmarks.speed.accelerator; the ratio is to timm's. Skipped without
  a GPU.
"""

import argparse
import itertools
from collections.abc import Iterator
from typing import Any

from benchmarks import common
from benchmarks.speed import accelerator, all_reduces, processes

PARTS = ("step", "parity", "bytes", "accelerator")
COLUMNS = (
  *("part", "what", "experiment", "processes", "resumed_in", "batch", "cores"),
  *("rounds", "value", "unit", "ratio"),
)
BATCH = 256
Row = dict[str, Any]


def exchanged(dense: str, experiments: list[str]) -> Iterator[Row]:
  """Bytes of a step's all-reduces on two devices, by what they are for."""
  import jax
  from jax.sharding import NamedSharding, PartitionSpec

  from benchmarks.speed.step_time import make_trainer
  from neural_epitome.distributed import devices
  from neural_epitome.experiment import load_experiment
  from neural_epitome.training import state

  jax.config.update("jax_platforms", "cpu")
  jax.config.update("jax_num_cpu_devices", 2)
  base: dict[str, int] = {}
  for experiment in [dense, *experiments]:
    config = load_experiment(experiment)
    size = config.data.batch_size
    step, init, mesh = make_trainer(config)
    like = state.abstract(init, mesh)
    cut = NamedSharding(mesh, PartitionSpec(devices.AXIS))
    batch = {
      name: jax.ShapeDtypeStruct((size, *shape), kind, sharding=cut)
      for name, shape, kind in (
        ("image", config.data.input_shape, "float32"),
        ("label", (), "int32"),
        ("position", (), "uint32"),
      )
    }
    # What travels does not depend on how well the rest is compiled.
    options = {"xla_backend_optimization_level": "0"}
    program = step.lower(like, batch).compile(options).as_text()
    items = all_reduces.itemised(program, like)
    items["params"] = 4 * sum(leaf.size for leaf in jax.tree.leaves(like.params))
    base = base or items
    for name, value in items.items():
      ratio = round(value / base[name], 4) if base[name] else ""
      yield {
        "part": "bytes",
        "what": name,
        "experiment": experiment,
        "processes": 1,
        "batch": size,
        "value": value,
        "unit": "bytes",
        "ratio": ratio,
      }


def on_gpu(rounds: int) -> Iterator[Row]:
  """Images a second of training on a GPU, ours and timm's."""
  kind = accelerator.device_kind()
  if kind is None:
    print("accelerator: skipped, JAX sees no GPU here")
    return
  shared = {"part": "accelerator", "experiment": "mobilenet_v2", "processes": 1}
  shared |= {"batch": accelerator.BATCH, "rounds": rounds}
  for variant, speed in accelerator.measure(rounds, kind).items():
    known = shared | {"what": variant}
    rate, ratio = round(speed.images_per_second, 1), round(speed.over_timm, 3)
    yield known | {"value": rate, "unit": f"images/s on {kind}", "ratio": ratio}
    if speed.utilisation is not None:
      yield known | {"value": round(speed.utilisation, 4), "unit": "of peak"}


def main() -> None:
  """Measures and writes results/scale.csv."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("--part", nargs="+", choices=PARTS, default=PARTS)
  parser.add_argument("--experiment", default="quick", help="of parity and step")
  parser.add_argument("--rounds", type=int, default=40, help="of step and accelerator")
  parser.add_argument(
    "--cores",
    type=int,
    nargs="+",
    default=[1, 2],
    help="that the part step is bound to",
  )
  arguments = parser.parse_args()
  name, rounds = arguments.experiment, arguments.rounds
  parts = {
    "parity": lambda: processes.parity(name),
    "step": lambda: itertools.chain.from_iterable(
      processes.step_time(name, BATCH, cores, rounds) for cores in arguments.cores
    ),
    "bytes": lambda: exchanged("mbv2_dense", ["mbv2_tile", "mbv2_epitome"]),
    "accelerator": lambda: on_gpu(rounds),
  }
  rows = []
  for part in arguments.part:
    for row in parts[part]():
      rows.append(dict.fromkeys(COLUMNS, "") | row)
      print(*rows[-1].values(), sep="\t", flush=True)
  if not rows:
    return
  kept = [old for old in common.read("scale") if old["part"] not in arguments.part]
  print(common.write("scale", rows, kept=kept))


if __name__ == "__main__":
  main()
