"""The bytes that the experiments of windows on ImageNet reach, and how long it takes.

  python -m benchmarks.compress.imagenet_sizes

The networks of `resnet18_windows_imagenet` and `resnet50_windows_imagenet` with random
weights: trained ones are not to be had here. Bytes are those of everything that is
stored, and met whatever the weights are; errors are not told, since windows of random
weights are not alike.
"""

import argparse
import time
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import common
from neural_epitome import models
from neural_epitome.epitome import plan as plans
from neural_epitome.experiment import load_experiment
from neural_epitome.planning import budget
from neural_epitome.training import setup, small_start
from neural_epitome.training.trained import Trained

EXPERIMENTS = ("resnet18_windows_imagenet", "resnet50_windows_imagenet")


def measure(name: str) -> dict[str, Any]:
  """The row of one experiment."""
  config = load_experiment(name)
  classes = tuple(str(label) for label in range(config.data.classes or 0))
  inventory = setup.take_inventory(config, len(classes))
  model = models.create(config.model, len(classes))
  images = jnp.zeros((1, *config.data.input_shape), jnp.float32)
  variables: Any = jax.jit(model.init)(jax.random.key(0), images)
  trained = Trained(
    model=model,
    variables=variables,
    plan=plans.make(inventory.kernels, {}),
    config=config,
    classes=classes,
    step=0,
    weights="raw",
  )
  begin, begin_cpu = time.perf_counter(), time.process_time()
  small = small_start.make(trained, config, quiet=False)
  allowed = budget.file_bytes(config.training.budget, small.whole_bytes)
  return {
    "experiment": name,
    "parameters": inventory.size,
    "budget_bytes": allowed,
    "stored_bytes": small.stored_bytes,
    "share_percent": round(100 * small.stored_bytes / allowed, 2),
    "times_smaller": round(small.whole_bytes / small.stored_bytes, 2),
    "seconds": round(time.perf_counter() - begin),
    "cpu_seconds": round(time.process_time() - begin_cpu),
  }


def main() -> None:
  """Measures and writes results/imagenet_sizes.csv."""
  argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
  rows: list[dict[str, Any]] = []
  for name in EXPERIMENTS:
    rows.append(measure(name))
    print(*rows[-1].values(), sep="\t", flush=True)
    common.write("imagenet_sizes", rows)


if __name__ == "__main__":
  main()
