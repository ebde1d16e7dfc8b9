"""Exact evaluation: every image once, the padding of the last batch masked."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax.sharding import Mesh

from neural_epitome.distributed.devices import AXIS, Batch, over_devices, prefetch

Tree = Any
Counts = dict[str, jax.Array]
Counter = Callable[[Tree, Batch], Counts]

TOP = 5
# Below this many classes the top five say little.
CLASSES_FOR_TOP5 = 10


def make_counter(model: nn.Module, mesh: Mesh) -> Counter:
  """Builds the compiled evaluation of one batch.

  Args:
    model: the network.
    mesh: one axis, `data`.

  Returns:
    `count(variables, batch) -> counts`, sums over all devices of all processes:
    `examples`, `top1` and `top5` (int32; `top5` only with ten classes or more) and
    `loss` (float32, nats). Batches are {"image", "label", "mask"}; rows whose mask
    is 0 count for nothing. A prediction that is not finite is wrong.
  """

  def on_device(variables: Tree, batch: Batch) -> Counts:
    logits: Any = model.apply(variables, batch["image"], train=False)
    mask, label = batch["mask"], batch["label"]
    real = mask > 0
    usable = real & jnp.all(jnp.isfinite(logits), axis=-1)
    _, best = jax.lax.top_k(logits, min(TOP, logits.shape[-1]))
    hits = (best == label[:, None]) & usable[:, None]
    # Labels of padding may be anything; index 0 keeps the loss defined.
    losses = optax.softmax_cross_entropy_with_integer_labels(
      logits, jnp.where(real, label, 0)
    )
    counts = {
      "examples": jnp.sum(real, dtype=jnp.int32),
      "top1": jnp.sum(hits[:, 0], dtype=jnp.int32),
      "loss": jnp.sum(jnp.where(real, losses, 0.0)),
    }
    if logits.shape[-1] >= CLASSES_FOR_TOP5:
      counts["top5"] = jnp.sum(jnp.any(hits, axis=-1), dtype=jnp.int32)
    return jax.lax.psum(counts, AXIS)

  return over_devices(on_device, mesh)


def evaluate(
  counter: Counter,
  weights: Mapping[str, Tree],
  batches: Iterable[Batch],
  mesh: Mesh,
) -> dict[str, dict[str, float]]:
  """Evaluates several sets of variables in one pass over the data.

  Args:
    counter: from `make_counter`.
    weights: sets of model variables, by name (`raw`, `ema`).
    batches: this process's rows of each batch, every process the same number.
    mesh: one axis, `data`.

  Returns:
    For each name {"examples", "top1", "top5", "loss"}: a count, shares in [0, 1]
    and the mean loss in nats.
  """
  sums: dict[str, dict[str, float]] = {name: {} for name in weights}
  # Programs that wait for each other's devices but not for each other: XLA's CPU
  # backend can run one of them on one device and another on the other, for ever.
  ahead = 0 if jax.default_backend() == "cpu" else 2 * len(weights)
  pending: list[tuple[str, Counts]] = []

  def settle(leave: int) -> None:
    while len(pending) > leave:
      name, counts = pending.pop(0)
      for key, value in jax.device_get(counts).items():
        # Python numbers: sums over a data set outgrow float32.
        sums[name][key] = sums[name].get(key, 0) + value.item()

  for batch in prefetch(_fields(batches, "image", "label", "mask"), mesh):
    for name, variables in weights.items():
      pending.append((name, counter(variables, batch)))
      settle(leave=ahead)
  settle(leave=0)
  return {name: _shares(counts) for name, counts in sums.items()}


def _fields(batches: Iterable[Batch], *names: str) -> Iterable[Batch]:
  return ({name: batch[name] for name in names} for batch in batches)


def _shares(counts: dict[str, float]) -> dict[str, float]:
  examples = counts.get("examples", 0)
  means = {k: v / max(1, examples) for k, v in counts.items() if k != "examples"}
  return {"examples": examples} | means
