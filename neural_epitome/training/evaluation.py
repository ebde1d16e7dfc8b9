"""Exact evaluation: every image once, the padding of the last batch masked."""

import collections
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax.sharding import Mesh

from neural_epitome.distributed.devices import AXIS, Batch, over_devices, prefetch
from neural_epitome.report.predictions import Predictions

Tree = Any
Counts = dict[str, Any]
Counter = Callable[[Tree, Batch], Counts]

TOP = 5
# Below this many classes the top five say little.
CLASSES_FOR_TOP5 = 10


def make_counter(model: nn.Module, mesh: Mesh, *, examples: bool = False) -> Counter:
  """Builds the compiled evaluation of one batch.

  Args:
    model: the network.
    mesh: one axis, `data`.
    examples: whether what is predicted of every example is returned too, for
      `evaluate_examples`. Its batches have a `position` (uint32) beside the rest.

  Returns:
    `count(variables, batch) -> counts`, sums over all devices of all processes:
    `examples`, `top1` and `top5` (int32; `top5` only with ten classes or more) and
    `loss` (float32, nats). Batches are {"image", "label", "mask"}; rows whose mask
    is 0 count for nothing. A prediction that is not finite is wrong. With `examples`,
    `rows` holds the fields of `Predictions` for the whole global batch, in every
    process; padding has label -1.
  """

  def on_device(variables: Tree, batch: Batch) -> Counts:
    logits: Any = model.apply(variables, batch["image"], train=False)
    mask, label = batch["mask"], batch["label"]
    real = mask > 0
    usable = real & jnp.all(jnp.isfinite(logits), axis=-1)
    # Labels of padding may be anything; index 0 keeps rank and loss defined.
    known = jnp.where(real, label, 0)
    rank = rank_of(logits, known)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, known)
    counts = {
      "examples": jnp.sum(real, dtype=jnp.int32),
      "top1": jnp.sum(real & (rank < 1), dtype=jnp.int32),
      "loss": jnp.sum(jnp.where(real, losses, 0.0)),
    }
    if logits.shape[-1] >= CLASSES_FOR_TOP5:
      counts["top5"] = jnp.sum(real & (rank < TOP), dtype=jnp.int32)
    total = jax.lax.psum(counts, AXIS)
    if examples:
      # On a CPU `jnp.argmax` is slow, and so is `top_k` of several if one is taken of
      # them: it becomes a sort of all classes. To `top_k`, -0.0 is less than 0.0.
      zeroed = jnp.where(logits == 0, jnp.zeros_like(logits), logits)
      best = jax.lax.top_k(zeroed, 1)[1].reshape(-1)
      confidence = jnp.max(jax.nn.softmax(logits), axis=-1).astype(jnp.float32)
      rows = {
        "position": batch["position"],
        "label": jnp.where(real, label, -1),
        "predicted": jnp.where(usable, best, -1),
        "confidence": jnp.where(usable, confidence, 0.0),
      }
      # A few bytes an example, where a confusion matrix grows with the classes' square.
      total["rows"] = {name: _of_all_devices(row) for name, row in rows.items()}
    return total

  return over_devices(on_device, mesh)


def rank_of(logits: jax.Array, label: jax.Array) -> jax.Array:
  """How many classes come before the label's, the largest logit first.

  It is the place of the label in what `jax.lax.top_k` of all classes returns, found in
  one pass instead of a sort.

  Args:
    logits: [n, classes], float.
    label: [n], integers; others than 0 to classes - 1 are of no class.

  Returns:
    [n], int32. Of equal logits the lower class comes first. A row with a logit that is
    not finite says nothing, and has the number of classes for a rank; so has a label of
    no class.
  """
  own = jnp.take_along_axis(logits, label[:, None], axis=-1)
  is_lower = jnp.arange(logits.shape[-1])[None] < label[:, None]
  is_before = (logits > own) | ((logits == own) & is_lower)
  rank = jnp.sum(is_before, axis=-1, dtype=jnp.int32)
  is_told = jnp.all(jnp.isfinite(logits), axis=-1)
  is_told &= (label >= 0) & (label < logits.shape[-1])
  return jnp.where(is_told, rank, logits.shape[-1])


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
  for name, counts in _count(counter, weights, batches, mesh):
    _add(sums[name], counts)
  return {name: _shares(counts) for name, counts in sums.items()}


def evaluate_examples(
  counter: Counter,
  weights: Mapping[str, Tree],
  batches: Iterable[Batch],
  mesh: Mesh,
) -> tuple[dict[str, dict[str, float]], dict[str, Predictions]]:
  """Evaluates as `evaluate` does, and keeps the prediction for every example.

  Args:
    counter: from `make_counter` with `examples`.
    weights: sets of model variables, by name (`raw`, `ema`).
    batches: this process's rows of each batch, every process the same number; each
      with a `position` (uint32).
    mesh: one axis, `data`.

  Returns:
    What `evaluate` returns, and the predictions by the name of the weights, which are
    the same in all processes.
  """
  sums: dict[str, dict[str, float]] = {name: {} for name in weights}
  rows: dict[str, list[dict[str, np.ndarray]]] = {name: [] for name in weights}
  for name, counts in _count(counter, weights, batches, mesh):
    rows[name].append(counts["rows"])
    _add(sums[name], counts)
  shares = {name: _shares(counts) for name, counts in sums.items()}
  return shares, {name: Predictions.of_batches(parts) for name, parts in rows.items()}


def _count(
  counter: Counter,
  weights: Mapping[str, Tree],
  batches: Iterable[Batch],
  mesh: Mesh,
) -> Iterator[tuple[str, Counts]]:
  """Names of weights and what the counter returns, on the host, batch by batch."""
  # Programs that wait for each other's devices but not for each other: XLA's CPU
  # backend can run one of them on one device and another on the other, for ever.
  ahead = 0 if jax.default_backend() == "cpu" else 2 * len(weights)
  pending: collections.deque[tuple[str, Counts]] = collections.deque()
  for batch in prefetch(map(_fields, batches), mesh):
    for name, variables in weights.items():
      pending.append((name, counter(variables, batch)))
      while len(pending) > ahead:
        name_of_oldest, counts = pending.popleft()
        yield name_of_oldest, jax.device_get(counts)
  for name, counts in pending:
    yield name, jax.device_get(counts)


def _add(sums: dict[str, float], counts: Counts) -> None:
  for key, value in counts.items():
    if key != "rows":
      # Python numbers: sums over a data set outgrow float32.
      sums[key] = sums.get(key, 0) + value.item()


def _of_all_devices(row: jax.Array) -> jax.Array:
  """The rows of every device, one after the other, on all of them."""
  mine = jnp.arange(jax.lax.axis_size(AXIS)) == jax.lax.axis_index(AXIS)
  placed = jnp.where(mine[:, None], row[None], jnp.zeros((), row.dtype))
  return jax.lax.psum(placed, AXIS).reshape(-1)


def _fields(batch: Batch) -> Batch:
  names = ("image", "label", "mask", "position")
  return {name: batch[name] for name in names if name in batch}


def _shares(counts: dict[str, float]) -> dict[str, float]:
  examples = counts.get("examples", 0)
  means = {k: v / max(1, examples) for k, v in counts.items() if k != "examples"}
  return {"examples": examples} | means
