"""Training step of generated kernels against dense.

  python -m benchmarks.speed.step_time

One process, all variants of a network in turn, round after round; the ratio is the
median over rounds of a variant's time over the dense network's in the same round. The
step is the trainer's own: forward, backward, AdamW.

share_foldable is the part of the dense step spent in the kernels that fold: one less
the ratio of the same network with these kernels left out, their layers only repeating
or cutting channels.
"""

import argparse
import dataclasses
import statistics
import sys
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from benchmarks import common
from neural_epitome.config import Config, override
from neural_epitome.cost import latency
from neural_epitome.cost.inventory import Inventory
from neural_epitome.distributed import devices
from neural_epitome.epitome import convolution
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.generators import EpitomeRule, GeneratorSpec
from neural_epitome.epitome.plan import Plan
from neural_epitome.epitome.sampling import Shape
from neural_epitome.experiment import load_experiment
from neural_epitome.planning import DensePlanner, RatePlanner
from neural_epitome.planning.base import Planner
from neural_epitome.runs import malloc
from neural_epitome.training import optimizer, setup
from neural_epitome.training import state as states
from neural_epitome.training import step as steps


@dataclasses.dataclass(frozen=True)
class Absent(GeneratorSpec):
  """No kernel: the layer's output is its input, strided, channels repeated or cut."""

  kind: ClassVar[str] = "absent"

  def tensors(self, shape: Shape) -> dict[str, Shape]:
    """None."""
    del shape
    return {}

  def init(
    self, key: jax.Array, shape: Shape, offsets: Any, initializer: Any
  ) -> dict[str, jax.Array]:
    """Nothing."""
    del key, shape, offsets, initializer
    return {}

  def generate(self, tensors: Any, offsets: Any, shape: Shape) -> jax.Array:
    """Never called: the layer runs folded."""
    raise AssertionError

  def fold(
    self, x: jax.Array, tensors: Any, offsets: Any, shape: Shape, application: Any
  ) -> jax.Array:
    """As the class says."""
    del tensors, offsets
    space = (slice(None, None, step) for step in application.strides)
    repeats = -(-shape[-1] // x.shape[-1])
    y = jnp.concatenate([x[:, *space]] * repeats, axis=-1)[..., : shape[-1]]
    # Written down: drawn into the loops after it, it would make them slower than the
    # network with its kernels.
    return convolution.scalable(jax.lax.optimization_barrier(y))


@dataclasses.dataclass(frozen=True)
class Without(Planner):
  """Leaves out the kernels that another planner compresses."""

  kind: ClassVar[str] = "without"
  planner: Planner

  def plan(self, inventory: Inventory) -> Plan:
    """The plan with `Absent` kernels."""
    left_out = self.planner.plan(inventory).compressed
    return plans.make(inventory.kernels, dict.fromkeys(left_out, Absent()))


def folded(config: Config, tile: Planner) -> dict[str, Config]:
  """Two variants of a dense configuration: kernels folded, and left out."""
  return {
    "fold": dataclasses.replace(config, planner=tile, execution="fold"),
    "left out": dataclasses.replace(config, planner=Without(tile), execution="fold"),
  }


def variants(experiment: str) -> dict[str, Config]:
  """The networks that are compared, the dense one first."""
  config = load_experiment(experiment)
  dense = dataclasses.replace(config, planner=DensePlanner())
  if experiment == "resnet20_epitome":
    tile = RatePlanner(rate=4.0, rule=EpitomeRule(side="both", routing="tile"))
    return {"dense": dense} | folded(dense, tile)
  tile = RatePlanner(rate=2.0, rule=EpitomeRule(routing="tile"))
  return {
    "dense": dense,
    "materialise, learned": config,
    "materialise": dataclasses.replace(dense, planner=tile),
  } | folded(dense, tile)


def make_trainer(config: Config, classes: int = 10) -> tuple[Any, Any, Any]:
  """The training step of `config`, what makes its state, and the mesh of both."""
  mesh = devices.make_mesh()
  inventory = setup.take_inventory(config, classes)
  model = setup.build(config, classes, setup.make_plan(config, inventory))
  rule, schedule = optimizer.create(
    config.optimizer, total_steps=1000, steps_per_epoch=100
  )
  train = steps.make_train_step(model, rule, schedule, mesh, steps.StepOptions())
  init = states.initializer(model, rule, config.data.input_shape, ema=False)
  return train, init, mesh


def make_step(config: Config, classes: int = 10) -> Any:
  """A function that runs one training step of `config` on random images.

  Several processes share its batch.
  """
  train, init, mesh = make_trainer(config, classes)
  holder = [states.create(init, 0, mesh)]
  size = config.data.batch_size // jax.process_count()
  keys = jax.random.split(jax.random.key(0))
  batch = devices.put(
    {
      "image": jax.device_get(
        jax.random.normal(keys[0], (size, *config.data.input_shape))
      ),
      "label": jax.device_get(jax.random.randint(keys[1], (size,), 0, classes)),
      "position": jax.device_get(jnp.arange(size, dtype=jnp.uint32)),
    },
    mesh,
  )

  def run() -> None:
    holder[0], measured = train(holder[0], batch)
    jax.block_until_ready((holder[0], measured))

  run()
  run()
  return run


def alternated(
  name: str, configs: Mapping[str, Config], rounds: int
) -> dict[str, list[float]]:
  """Seconds of a step of each variant of a network, all in turn in every round."""
  cases = {}
  for variant, config in configs.items():
    print(f"{name}: compiling {variant}", file=sys.stderr, flush=True)
    cases[variant] = make_step(config)
  malloc.retire_fragments()  # as the trainer does
  return latency.alternate(cases, rounds)


def measure(
  name: str, experiment: str, overrides: dict[str, str], rounds: int
) -> list[dict[str, Any]]:
  """Rows of one network at one size."""
  configs = variants(experiment)
  for path, text in overrides.items():
    configs = {k: override(c, path, text) for k, c in configs.items()}
  seconds = alternated(name, configs, rounds)
  first = configs["dense"]
  share = 1.0 - common.paired_ratio(seconds.pop("left out"), seconds["dense"])
  return [
    {
      "network": name,
      "image_size": first.data.image_size,
      "batch": first.data.batch_size,
      "variant": variant,
      "rate": 1 if variant == "dense" else configs[variant].planner.rate,
      "median_ms": round(1e3 * statistics.median(times), 1),
      "minimum_ms": round(1e3 * min(times), 1),
      "ratio_to_dense": round(common.paired_ratio(times, seconds["dense"]), 3),
      "share_foldable": round(share, 3),
      "rounds": rounds,
    }
    for variant, times in seconds.items()
  ]


def main() -> None:
  """Measures and writes results/step_time.csv."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("--rounds", type=int, default=25)
  arguments = parser.parse_args()
  malloc.keep_freed_memory()  # as the command line does
  at_224 = {
    "data.image_size": "224",
    "data.batch_size": "8",
    "data.channels": "3",
    "model.stage_strides": "[1,2,2,2,1,2,1]",
  }
  rows = [
    *measure("mobilenet_v2", "mbv2_epitome", {}, arguments.rounds),
    *measure("resnet20", "resnet20_epitome", {}, arguments.rounds),
    *measure("mobilenet_v2", "mbv2_epitome", at_224, max(5, arguments.rounds // 3)),
  ]
  for row in rows:
    print(*row.values(), sep="\t")
  print(common.write("step_time", rows))


if __name__ == "__main__":
  main()
