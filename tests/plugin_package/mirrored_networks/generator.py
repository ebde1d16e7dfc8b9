"""Kernels whose output channels come in pairs of opposite sign (arXiv 1603.05201)."""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
import numpy as np

import neural_epitome as ne
from neural_epitome.compression import compact_reader


@dataclasses.dataclass(frozen=True)
class Mirrored(ne.GeneratorSpec):
  """Every second output channel is the one before it, negated."""

  kind: ClassVar[str] = "mirrored"

  def tensors(self, shape):
    """`half`, the channels of even number."""
    return {"half": (*shape[:-1], -(-shape[-1] // 2))}

  def init(self, key, shape, offsets, initializer):
    """The kernel's own distribution."""
    return {"half": initializer(key, shape)[..., ::2]}

  def generate(self, tensors, offsets, shape):
    """Both of every pair."""
    half = tensors["half"]
    return jnp.stack([half, -half], -1).reshape(*half.shape[:-1], -1)[..., : shape[-1]]


@dataclasses.dataclass(frozen=True)
class MirroredRule(ne.Rule):
  """Half of the kernel, whatever is asked for."""

  kind: ClassVar[str] = "mirrored"
  is_fixed: ClassVar[bool] = True

  def at(self, use, stored, below=0.01):
    """See `Rule.at`."""
    return Mirrored()

  def smallest(self, use):
    """See `Rule.smallest`."""
    return Mirrored().stored(use.shape)


def _expanded(spec, tensors, offsets, shape):
  half = tensors["half"]
  return np.stack([half, -half], -1).reshape(*half.shape[:-1], -1)[..., : shape[-1]]


# Compact files hold it too, and are read where this package is installed.
compact_reader.KINDS["mirrored"] = _expanded
