"""Where windows start, learned while what is stored is trained.

A start is a whole number, which no gradient moves. So every kernel of windows has a
full one beside it while it is trained: its residual, what the windows lack of the
kernel that they were made for. The gradient of the kernel that the network reads passes
straight through to it (Bengio, Léonard and Courville, 2013, arXiv 1308.3432), so it
comes to say where the loss wants the kernel to be. Every so often each window goes to
where on its ring the sum of both is nearest, at a price a bit, so that the file stays
in its bytes; what is still lacking then is the new residual.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from neural_epitome.compression import entropy_coding, kernel_error, trees
from neural_epitome.compression.compressed import Compressed
from neural_epitome.epitome import window_fit, windows
from neural_epitome.epitome.generators import WindowedEpitome
from neural_epitome.epitome.plan import KernelPlan

Tree = Any
Array = jax.Array

# Prices of a bit that are tried to stay in the bytes: the first, and how many.
_FIRST_PRICE, _TRIALS = 0.05, 7
# By what factor outputs may have been enlarged; what is beyond is noise.
_MOST = 2.0


def residuals(small: Compressed, tree: Tree) -> dict[str, Array]:
  """What the windows lack of each kernel to begin with.

  Args:
    small: what is trained.
    tree: of the structure that was compressed; best what was.

  Returns:
    float32 arrays by path, of the plan's shapes.
  """
  given, made = (
    trees.take_apart(one).arrays for one in (tree, small.expand(small.compact))
  )
  return {
    path: jnp.float32(given[path] - made[path]).reshape(kernel.shape)
    for path, kernel in small.plan.kernels.items()
    if isinstance(kernel.generator, WindowedEpitome)
  }


def straight_through(residual: Mapping[str, Array]) -> dict[str, Array]:
  """Zeros that pass their gradient on to the residuals."""
  return {path: one - jax.lax.stop_gradient(one) for path, one in residual.items()}


def coded_bytes(small: Compressed) -> dict[str, int]:
  """What the starts of every kernel take in the file, of those that are coded."""
  return {
    path: kernel.generator.coded_bytes
    for path, kernel in small.plan.kernels.items()
    if isinstance(kernel.generator, WindowedEpitome)
    and kernel.generator.coded_bytes is not None
  }


def assigned(
  small: Compressed, residual: Mapping[str, Array], limits: Mapping[str, int]
) -> tuple[Compressed, dict[str, Array]]:
  """Every window at the start where it is nearest to itself and its residual.

  Args:
    small: with the numbers as they are trained now.
    residual: by path.
    limits: bytes of the coded starts of each kernel.

  Returns:
    The same with other starts, and what they lack. Where starts would take more than
    the limit, those of a kernel stay as they are.
  """
  numbers = small.plan.rounded(
    {name: jnp.asarray(small.compact[name]) for name in small.plan.tensors}
  )
  moved, lacking = {}, dict(residual)
  for path, lack in residual.items():
    plan = small.plan.kernels[path]
    tensors = {
      role: np.asarray(numbers[name], np.float32) for role, name in plan.tensors.items()
    }
    made = np.asarray(plan.generator.generate(tensors, small.offsets[path], plan.shape))
    kernel = made + np.asarray(lack)
    sight = _Sight.of(plan, tensors, small.offsets[path]["start"], kernel, made)
    starts = sight.starts(0.0)
    if path in limits:
      assert isinstance(plan.generator, WindowedEpitome)
      starts = _within(sight, limits[path], plan.generator.context)
    if starts is not None:
      moved[path] = starts
      again = plan.generator.generate(tensors, {"start": starts}, plan.shape)
      lacking[path] = jnp.asarray(kernel - again)
  return small.with_starts(moved), lacking


def _within(sight: "_Sight", limit: int, axis: int | None) -> np.ndarray | None:
  """The starts at the lowest price of a bit that keeps them in their bytes."""
  best, low, high, price = None, 0.0, math.inf, _FIRST_PRICE
  for _ in range(_TRIALS):
    starts = sight.starts(price)
    if len(entropy_coding.encode(starts, len(sight.ring), axis)) <= limit:
      best, high = starts, price
    else:
      low = price
    if high < math.inf and low > 0:
      price = math.sqrt(low * high)
    else:
      price = price / 4 if high < math.inf else price * 4
  return best


class _Sight(NamedTuple):
  """A kernel's windows beside the ring that they are read from.

  Attributes:
    target: windows in units of the ring's root mean square.
    ring: in units of that.
    lengths: bits of every start now; 0 where they are packed.
    shape: of the starts.
  """

  target: window_fit.Target
  ring: np.ndarray
  lengths: np.ndarray
  shape: tuple[int, ...]

  @classmethod
  def of(
    cls,
    plan: KernelPlan,
    tensors: Mapping[str, np.ndarray],
    now: np.ndarray,
    kernel: np.ndarray,
    made: np.ndarray,
  ) -> "_Sight":
    """Of a kernel that windows should come near, beside what they make now."""
    generator = plan.generator
    assert isinstance(generator, WindowedEpitome)
    size = float(np.sqrt(np.mean(np.square(tensors["ring"])))) or 1.0
    scale = tensors.get("scale", np.float32(1.0)) * size
    scale = scale * _shrinkage(kernel, made, generator.scaled)
    rows = windows.apart(kernel / scale, generator.extents(kernel.shape))
    now = np.asarray(now).astype(np.int64)
    lengths = np.zeros(generator.length)
    if generator.coded_symbols("start"):
      counts = np.bincount(now.reshape(-1), minlength=generator.length)
      lengths = window_fit.ideal_lengths(counts)
    metric = kernel_error.window_metric(generator, kernel.shape)
    target = window_fit.Target(rows.astype(np.float32), metric)
    return cls(target, tensors["ring"] / size, lengths, now.shape)

  def starts(self, price: float) -> np.ndarray:
    """The best ones at this price of a bit, in squares of a number of the ring."""
    starts = window_fit.assign(self.target, self.ring, price * self.lengths)
    return starts.reshape(self.shape).astype(np.int32)


def _shrinkage(kernel: np.ndarray, made: np.ndarray, is_scaled: bool) -> np.ndarray:
  """By what a least squares is smaller than what is made, float32.

  What is made was enlarged, so that outputs are not shrunk (`output_scales.unbiased`).
  Windows are compared as before that.

  Args:
    kernel: (*window, Cin, Cout).
    made: for it.
    is_scaled: whether outputs have scales of their own, and each its shrinkage.
  """
  axes = tuple(range(kernel.ndim - is_scaled))
  both = np.sum(np.multiply(kernel, made, dtype=np.float64), axes)
  own = np.sum(np.square(made, dtype=np.float64), axes)
  share = np.where(own > 0, both / np.where(own > 0, own, 1.0), 1.0)
  return np.clip(share, 1 / _MOST, _MOST).astype(np.float32)
