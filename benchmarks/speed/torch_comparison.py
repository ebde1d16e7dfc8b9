"""Our dense MobileNetV2 against the same network in torch: the whole training step.

    python -m benchmarks.speed.torch_comparison

Forward, backward with batch norm in training mode, SGD with momentum; float32, the
ImageNet strides, all cores. torch runs the plain module of the parity tests in
channels_last. Each variant lives in a process of its own, which sleeps while another
steps; the ratio is the median over rounds of ours over torch's in the same round.

"kept memory" is `neural_epitome.runs.malloc`, on in our training and off in torch by
default: both are measured with and without. cpu_ms, the processor time of a step, moves
less than the clock does where other work shares the cores.
"""

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks import common, interleave

SIZES = ((224, 8), (32, 64))
CLASSES = 1000
VARIANTS = ("ours", "ours, kept memory", "torch", "torch, kept memory")


def our_step(size: int, batch: int) -> Callable[[], None]:
  """One training step of ours on random images."""
  import jax
  import jax.numpy as jnp
  import optax

  from neural_epitome import models

  model = models.create(models.MobileNetV2Config(), CLASSES)
  images = jax.random.normal(jax.random.key(0), (batch, size, size, 3))
  labels = jax.random.randint(jax.random.key(1), (batch,), 0, CLASSES)
  keys = jax.random.split(jax.random.key(2), batch)
  rule = optax.sgd(0.01, momentum=0.9)
  variables = jax.jit(model.init)(jax.random.key(0), images)

  def step(state: Any, images: jax.Array, labels: jax.Array) -> tuple[Any, jax.Array]:
    params, stats, moments = state

    def loss(params: Any) -> tuple[jax.Array, Any]:
      logits, updated = model.apply(
        {"params": params, "batch_stats": stats},
        images,
        train=True,
        keys=keys,
        mutable=["batch_stats"],
      )
      losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
      return jnp.mean(losses), updated["batch_stats"]

    (value, stats), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    change, moments = rule.update(gradient, moments, params)
    return (optax.apply_updates(params, change), stats, moments), value

  compiled = jax.jit(step, donate_argnums=0)
  params = variables["params"]
  holder = [(params, variables["batch_stats"], rule.init(params))]

  def run() -> None:
    holder[0], value = compiled(holder[0], images, labels)
    jax.block_until_ready((holder[0], value))

  return run


def torch_step(size: int, batch: int) -> Callable[[], None]:
  """One training step of torch's on random images."""
  import torch

  from tests.models.torch_reference import MobileNetV2

  layout = {"memory_format": torch.channels_last}
  model = MobileNetV2(CLASSES).to(**layout).train()
  rule = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
  images = torch.randn(batch, 3, size, size).to(**layout)
  labels = torch.randint(0, CLASSES, (batch,))

  def run() -> None:
    rule.zero_grad(set_to_none=True)
    loss = torch.nn.functional.cross_entropy(model(images), labels)
    loss.backward()
    rule.step()
    loss.item()

  return run


def work(variant: str, size: int, batch: int) -> None:
  """Child process: the clock and CPU seconds of a step, each turn."""
  from neural_epitome.runs import malloc

  if variant.endswith("kept memory"):
    malloc.keep_freed_memory()
  step = our_step if variant.startswith("ours") else torch_step
  run = step(size, batch)
  for _ in range(5):
    run()
  malloc.retire_fragments()  # as the trainer does; nothing unless memory is kept

  def turn() -> dict[str, float]:
    begin = time.perf_counter(), time.process_time()
    run()
    end = time.perf_counter(), time.process_time()
    return {"clock": end[0] - begin[0], "cpu": end[1] - begin[1]}

  interleave.serve({}, turn)


def measure(size: int, batch: int, variants: list[str], rounds: int) -> list[dict]:
  """Rows of one image size."""
  workers = {
    variant: interleave.Worker(
      "benchmarks.speed.torch_comparison", ["--worker", variant, str(size), str(batch)]
    )
    for variant in variants
  }
  taken = interleave.alternate(workers, rounds)
  for worker in workers.values():
    worker.close()
  clock = {v: [turn["clock"] for turn in turns] for v, turns in taken.items()}
  rows = []
  for variant, times in clock.items():
    row = {
      "network": "mobilenet_v2",
      "image_size": size,
      "batch": batch,
      "variant": variant,
      "median_ms": round(1e3 * statistics.median(times), 1),
      "minimum_ms": round(1e3 * min(times), 1),
      "cpu_ms": round(1e3 * interleave.median(taken[variant], "cpu"), 1),
    }
    for other in ("torch", "torch, kept memory"):
      ratio = common.paired_ratio(times, clock[other]) if other in clock else None
      row[f"over {other}"] = "" if ratio is None else round(ratio, 3)
    rows.append(row | {"rounds": rounds})
  return rows


def main() -> None:
  """Measures and writes results/torch_comparison.csv."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("--rounds", type=int, default=15)
  parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
  arguments = parser.parse_args()
  if arguments.worker:
    variant, size, batch = arguments.worker
    work(variant, int(size), int(batch))
    return
  variants = list(VARIANTS)
  if importlib.util.find_spec("torch") is None:
    print("torch is not installed: its rows are left out (pip install -e '.[parity]').")
    variants = [variant for variant in VARIANTS if variant.startswith("ours")]
  rows = []
  for size, batch in SIZES:
    rows += measure(size, batch, variants, arguments.rounds)
  for row in rows:
    print(*row.values(), sep="\t")
  print(common.write("torch_comparison", rows))


if __name__ == "__main__":
  main()
