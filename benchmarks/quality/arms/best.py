"""This package's own: every kernel in the way that its measured error says.

Those are windows of a ring with entropy-coded starts at most of the sizes compared.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.quality.arms.base import Expanded, Start, Teacher, flat, nested
from benchmarks.quality.training import augmented, normalised
from neural_epitome.compression.best import Choosing, prepare
from neural_epitome.compression.compressed import Compressed
from neural_epitome.epitome.activations import input_moments
from neural_epitome.training import start_assignment

Tree = Any

# Images of a batch whose layers' inputs are measured.
_BATCH = 250
# Of a residual, in root mean squares of its kernel.
_UNIT = 0.1


@dataclasses.dataclass(frozen=True)
class _Weights:
  """Parameters that are compared by their values."""

  digest: str
  teacher: Teacher = dataclasses.field(compare=False)
  has_examples: bool


def best(teacher: Teacher, size: int, seed: int) -> Start:
  """The teacher in a file of the budget's bytes; starts stay where they are.

  Rings, scales and what is no kernel can be trained, and are rounded as they ship.
  """
  del seed
  return _still(teacher, _small(teacher, size))


def best_examples(teacher: Teacher, size: int, seed: int) -> Start:
  """The same, fitted to what layers make of training images, without labels."""
  del seed
  return _still(teacher, _small(teacher, size, has_examples=True))


def _still(teacher: Teacher, small: Compressed) -> Start:
  variables = {**teacher.variables, "params": nested(small.compact)}
  model = Expanded(teacher.model, lambda stored: small.expand(flat(stored)))
  return Start(model, variables, small.totals.stored_bytes)


def best_moving(teacher: Teacher, size: int, seed: int) -> Start:
  """The same, whose windows go elsewhere between epochs, in no more bytes.

  Residuals are in units of a tenth of the kernel's root mean square: steps of the
  optimiser are as large for every kernel, and so small that what is noise in them moves
  few windows.
  """
  del seed
  small = _small(teacher, size)
  params = teacher.variables["params"]
  kernels = flat(params)
  first = start_assignment.residuals(small, params)
  units = {path: _UNIT * jnp.sqrt(jnp.mean(kernels[path] ** 2)) for path in first}
  starts = {path: jnp.int32(small.offsets[path]["start"]) for path in first}
  lacking = {path: one / units[path] for path, one in first.items()}
  limits = start_assignment.coded_bytes(small)

  def between(variables: Tree) -> Tree:
    stored, lacking = (
      flat(variables["params"][name]) for name in ("stored", "lacking")
    )
    now = small.with_starts(flat(variables["routing"])).with_numbers(stored)
    residual = {path: units[path] * one for path, one in lacking.items()}
    moved, residual = start_assignment.assigned(now, residual, limits)
    starts = {path: jnp.int32(moved.offsets[path]["start"]) for path in residual}
    lacking = {path: one / units[path] for path, one in residual.items()}
    params = {**variables["params"], "lacking": nested(lacking)}
    return {**variables, "params": params, "routing": nested(starts)}

  return Start(
    _Moving(teacher.model, small, units),
    {
      **teacher.variables,
      "params": {"stored": nested(small.compact), "lacking": nested(lacking)},
      "routing": nested(starts),
    },
    small.totals.stored_bytes,
    between=between,
  )


@dataclasses.dataclass(frozen=True, eq=False)
class _Moving:
  """The dense network of windows whose starts are among the variables."""

  model: Any
  small: Compressed
  units: Mapping[str, jax.Array]

  def apply(self, variables: Tree, *args: Any, **options: Any) -> Any:
    stored, lacking = (
      flat(variables["params"][name]) for name in ("stored", "lacking")
    )
    residual = {path: unit * lacking[path] for path, unit in self.units.items()}
    full = self.small.at_starts(flat(variables["routing"])).expand(
      stored, start_assignment.straight_through(residual)
    )
    rest = {k: v for k, v in variables.items() if k not in ("params", "routing")}
    return self.model.apply({**rest, "params": full}, *args, **options)


def _small(teacher: Teacher, size: int, has_examples: bool = False) -> Compressed:
  params = teacher.variables["params"]
  digest = hashlib.sha256()
  for array in flat(params).values():
    digest.update(np.asarray(array).tobytes())
  weights = _Weights(digest.hexdigest(), teacher, has_examples)
  return _prepared(weights).within(teacher.budget(size))


@functools.lru_cache(1)
def _prepared(weights: _Weights) -> Choosing:
  """Which takes half a minute, with examples two, and serves every size."""
  params, moments = weights.teacher.variables["params"], None
  if weights.has_examples:
    moments = _moments(weights.teacher)
  return prepare(params, quiet=True, moments=moments)


def _moments(teacher: Teacher) -> dict[str, np.ndarray]:
  """Of what layers read, of images augmented as in training."""
  assert teacher.examples is not None  # jobs give them
  images = normalised(augmented(jax.random.key(0), teacher.examples()))
  return input_moments(
    lambda batch: teacher.model.apply(teacher.variables, batch, train=False),
    [images[i : i + _BATCH] for i in range(0, len(images), _BATCH)],
  )
