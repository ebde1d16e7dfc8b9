"""Training step of generated kernels against dense: python -m benchmarks.step_time.

One process, all variants of a network in turn, round after round; the ratio is the
median over rounds of a variant's time over the dense network's in the same round. The
step is the trainer's own: forward, backward, AdamW.

share_foldable is the part of the dense step spent in the kernels that fold: the step's
time less that of the same network with these kernels' products left out, over it.
"""

import argparse
import dataclasses
import statistics
import sys
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import common
from neural_epitome.config import Config, override
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.experiment import load_experiment
from neural_epitome.planning import DensePlanner, UniformPlanner
from neural_epitome.training import devices, optimizer, setup
from neural_epitome.training import state as states
from neural_epitome.training import step as steps

FIXED = IndexOptions(source="fixed", start="zero")


def variants(experiment: str) -> dict[str, Config]:
  """The networks that are compared, the dense one first."""
  config = load_experiment(experiment)
  dense = dataclasses.replace(config, planner=DensePlanner())
  if experiment == "resnet20_epitome":
    tile = UniformPlanner(rate=4.0, side="both", routing="tile")
    return {
      "dense": dense,
      "fold 4x tile": dataclasses.replace(dense, planner=tile, execution="fold"),
    }
  tile = UniformPlanner(rate=2.0, routing="tile")
  return {
    "dense": dense,
    "materialise 2x learned": config,
    "materialise 2x tile": dataclasses.replace(dense, planner=tile),
    "fold 2x tile": dataclasses.replace(dense, planner=tile, execution="fold"),
  }


def make_step(config: Config, classes: int = 10) -> Any:
  """A function that runs one training step of `config` on random images."""
  mesh = devices.make_mesh()
  inventory = setup.take_inventory(config, classes)
  model = setup.build(config, classes, config.planner.plan(inventory))
  rule, schedule = optimizer.create(
    config.optimizer, total_steps=1000, steps_per_epoch=100
  )
  train = steps.make_train_step(model, rule, schedule, mesh, steps.StepOptions())
  init = states.initializer(model, rule, setup.image_shape(config), ema=False)
  holder = [states.create(init, 0, mesh)]
  size = config.data.batch_size
  keys = jax.random.split(jax.random.key(0))
  batch = devices.put(
    {
      "image": jax.device_get(
        jax.random.normal(keys[0], (size, *setup.image_shape(config)))
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


def measure(
  name: str, experiment: str, overrides: dict[str, str], rounds: int
) -> list[dict[str, Any]]:
  """Rows of one network at one size."""
  configs = variants(experiment)
  for path, text in overrides.items():
    configs = {k: override(c, path, text) for k, c in configs.items()}
  cases = {}
  for variant, config in configs.items():
    print(f"{name}: compiling {variant}", file=sys.stderr, flush=True)
    cases[variant] = make_step(config)
  seconds = common.alternate(cases, rounds)
  first = configs["dense"]
  return [
    {
      "network": name,
      "image_size": first.data.image_size,
      "batch": first.data.batch_size,
      "variant": variant,
      "median_ms": round(1e3 * statistics.median(times), 1),
      "minimum_ms": round(1e3 * min(times), 1),
      "ratio_to_dense": round(common.paired_ratio(times, seconds["dense"]), 3),
      "rounds": rounds,
    }
    for variant, times in seconds.items()
  ]


def main() -> None:
  """Measures and writes results/step_time.csv."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("--rounds", type=int, default=25)
  arguments = parser.parse_args()
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
