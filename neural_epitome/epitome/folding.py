"""Running a layer from its epitome without building the kernel: exact identities.

With factorised routing the kernel is W = A_in E A_out, where the A's have at most
two non-zeros a row, so a convolution by W is (Neural Epitome Search, section 3.4):

    wrap the input's channels -> convolve with the small epitome -> replicate
                (A_in)                                               (A_out)

Wrapping adds the input's channel blocks, each rolled by its replica's offset;
replicating is `sampling.repeat_shifted` on the small output. Both commute with
stride, padding and dilation, which act on other axes.
"""

import functools
import operator

from neural_epitome.epitome import convolution, sampling, stream
from neural_epitome.epitome.geometry import Application
from neural_epitome.epitome.sampling import Array, Offsets, Shape
from neural_epitome.epitome.stream import Stream


def wrap(x: Array, starts: Array | None, cells: int) -> Array:
  """Channel wrapping, the transpose of `sampling.repeat_shifted` on the last axis.

  Args:
    x: (..., channels).
    starts: (R,) offsets in cells; None for all zero.
    cells: the epitome's input channels, at most `channels`.

  Returns:
    (..., cells): the sum of the R blocks of `cells` channels (the last one padded
    with zeros), block r rolled by starts[r]; a fractional offset rolls to both
    neighbouring cells, blended.
  """
  if starts is None:
    return x if x.shape[-1] == cells else stream.wrap(x, cells)
  blocks = [
    sampling.unshift(block, start, -1)
    for block, start in zip(stream.blocks(x, cells), starts, strict=True)
  ]
  return functools.reduce(operator.add, blocks)


def fold(
  x: Array | Stream,
  epitome: Array,
  offsets: Offsets,
  shape: Shape,
  application: Application,
  scale: Array | None = None,
) -> Array | Stream | None:
  """Applies a layer whose kernel is `sample(epitome, offsets, shape)`.

  With feature groups the wrap acts within each group and the output side is
  generated: replicas in different groups read different inputs.

  Args:
    x: (batch, ..., feature_group_count * Cin).
    epitome: (*kernel_size', Ci, Co).
    offsets: factorised offsets, or none for a tile.
    shape: the full kernel's shape.
    application: how the layer applies a kernel.
    scale: (R_in, R_out) factors of the kernel's blocks; None for all one.

  Returns:
    The layer's output, as a stream where the application takes one and replicas stand
    in step; or None where there is nothing to reuse: blockwise routing, no replica
    along an axis that folds, or scales along both axes or with groups.
  """
  groups = application.feature_group_count
  rows, columns = sampling.replica_counts(shape, epitome.shape)
  if sampling.is_blockwise(offsets) or rows * (columns if groups == 1 else 1) == 1:
    return None
  if scale is not None:
    if groups > 1 or min(rows, columns) > 1:
      return None
    factors, axis = (scale[:, 0], -2) if rows > 1 else (scale[0], -1)
    factors = sampling.repeat_cells(factors, epitome.shape[axis], shape[axis], 0)
    if rows > 1:
      x = stream.full(x)
      x = x * factors.astype(x.dtype).reshape((1,) * (x.ndim - 1) + (-1,))
    else:
      y = fold(x, epitome, offsets, shape, application)
      assert y is not None, "what has several replicas of whole blocks folds"
      if isinstance(y, stream.Replicated):
        return y.scaled(factors, None)
      y = stream.full(y)
      return y * factors.astype(y.dtype).reshape((1,) * (y.ndim - 1) + (-1,))
  kernel = sampling.crop(epitome, offsets.get("spatial"), shape[:-2]).astype(x.dtype)
  starts, cells = offsets.get("input"), epitome.shape[-2]
  if rows > 1 and groups == 1 and starts is None:
    x = stream.wrapped(x, cells)
  elif rows > 1:
    x = stream.full(x)
    parts = x.reshape(*x.shape[:-1], groups, -1) if groups > 1 else x
    x = wrap(parts, starts, cells)
    x = x.reshape(*x.shape[:-2], -1) if groups > 1 else x
  x = stream.full(x)
  if groups > 1:
    kernel = sampling.repeat_shifted(kernel, offsets.get("output"), shape[-1], -1)
    return application(x, kernel)
  kernel = stream.zeros_behind(kernel, -2, x.shape[-1])
  cells = kernel.shape[-1]
  writes = columns > 1 and application.streams and "output" not in offsets
  if writes:
    least = min(convolution.least_channels(), shape[-1])
    kernel = stream.zeros_behind(kernel, -1, max(cells, least))
  y = application(x, kernel)
  if writes:
    return stream.Replicated(y, shape[-1], cells)
  if columns == 1:
    return y
  y = sampling.repeat_shifted(y, offsets.get("output"), shape[-1], -1)
  return convolution.scalable(y)
