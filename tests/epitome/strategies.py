"""Random kernels, epitomes and offsets for property tests."""

import dataclasses

import jax
import jax.numpy as jnp
from hypothesis import strategies as st

from neural_epitome.epitome.generators import Epitome


@dataclasses.dataclass(frozen=True)
class Case:
  """A kernel shape, an epitome for it, and values for both."""

  shape: tuple[int, ...]
  generator: Epitome
  epitome: jax.Array
  offsets: dict[str, jax.Array]


@st.composite
def cases(draw, axes=(0, 1, 2), routings=("tile", "factorised", "blockwise")):
  """Kernels of every rank, ragged replicas and fractional offsets included."""
  rank = draw(st.sampled_from(axes))
  window = tuple(draw(st.integers(1, 3)) for _ in range(rank))
  channels = draw(st.integers(1, 9)), draw(st.integers(1, 9))
  # At most three replicas a side: every block is compiled by itself.
  stored = tuple(draw(st.integers(-(-size // 3), size)) for size in channels)
  grown = tuple(size + draw(st.integers(0, 2)) for size in window)
  routing = draw(st.sampled_from(routings))
  generator = Epitome((*grown, *stored), routing)
  shape = (*window, *channels)
  key, epitome_key = jax.random.split(jax.random.key(draw(st.integers(0, 1000))))
  shapes = generator.offsets(shape)
  keys = jax.random.split(key, max(len(shapes), 1))
  offsets = {
    axis: jax.random.uniform(k, s, minval=-7.0, maxval=13.0)
    for k, (axis, s) in zip(keys, shapes.items(), strict=False)
  }
  epitome = jax.random.normal(epitome_key, generator.shape, jnp.float32)
  return Case(shape, generator, epitome, offsets)
