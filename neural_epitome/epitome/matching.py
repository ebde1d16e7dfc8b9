"""Where the replicas of an epitome should start for a kernel, every start tried.

An offset that is learned by its gradient sees one cell. Here one replica after another
is taken out, the epitome is what fits all others best, and the replica is put back
where it comes nearest to that: its inner products with every circular shift are a
cross-correlation, which fast Fourier transforms give at once. (Were it left in, it
would always match itself best where it is.)
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from neural_epitome.epitome import least_squares, sampling

Block = tuple[int, int]


def starts(
  kernel: np.ndarray,
  cells: tuple[int, ...],
  offsets: Mapping[str, np.ndarray],
  scale: np.ndarray | None,
  importance: np.ndarray,
) -> dict[str, np.ndarray]:
  """The channel offsets after each replica was put back once, in whole cells.

  Args:
    kernel: (*kernel_size, Cin, Cout).
    cells: of the epitome, (Ci, Co).
    offsets: of `sampling`, factorised or blockwise: which axes move, and where they
      are. Where they are factorised, a replica is a row or a column of blocks.
    scale: (R_in, R_out) factors of the blocks, which then change too; None for all one.
    importance: (Cin,), what the squared difference of each input's weights counts.

  Returns:
    float32 offsets by axis, of the shapes of `offsets`.
  """
  return _Fit(kernel, cells, offsets, scale, importance).sweep()


class _Fit:
  """The epitome that fits all blocks best, as blocks are taken out and put back.

  It is kept as its numerators and denominators, see `least_squares`: to take a block
  out is to subtract what it adds to both.
  """

  def __init__(self, kernel, cells, offsets, scale, importance):
    rows, columns = sampling.replica_counts(kernel.shape, (*kernel.shape[:-2], *cells))
    kernel = kernel.reshape(-1, *kernel.shape[-2:])
    self.axes, self.is_blockwise = tuple(offsets), sampling.is_blockwise(offsets)
    self.cells, self.grid = cells, (rows, columns)
    blocks = list(np.ndindex(self.grid))
    self.weights, self.there = {}, {}
    for r, c in blocks:
      block = kernel[:, r * cells[0] :, c * cells[1] :][:, : cells[0], : cells[1]]
      own_importance = importance[r * cells[0] :][: cells[0], None]
      own_importance = np.broadcast_to(own_importance, block.shape[1:])
      missing = [(0, n - m) for n, m in zip(cells, block.shape[1:], strict=True)]
      self.weights[r, c] = np.pad(block * own_importance, [(0, 0), *missing])
      self.there[r, c] = np.pad(own_importance, missing)
    self.start = {b: self._given(offsets, b) for b in blocks}
    self.is_scaled = scale is not None
    self.factor = {b: 1.0 if scale is None else float(scale[b]) for b in blocks}
    self.above, self.below = np.zeros((len(kernel), *cells)), np.zeros(cells)
    for block in blocks:
      self._put(block, 1)

  def sweep(self) -> dict[str, np.ndarray]:
    rows, columns = map(range, self.grid)
    if self.is_blockwise:
      for block in itertools.product(rows, columns):
        self._replace([block], self.axes)
    else:
      if "input" in self.axes:
        for row in rows:
          self._replace([(row, column) for column in columns], ["input"])
      if "output" in self.axes:
        for column in columns:
          self._replace([(row, column) for row in rows], ["output"])
    return {axis: self._taken(axis) for axis in self.axes}

  def _replace(self, blocks: Sequence[Block], axes: Sequence[str]) -> None:
    """Takes blocks out and puts them back where they fit best, moved along `axes`."""
    for block in blocks:
      self._put(block, -1)
    if np.max(self.below) > 1e-9:
      met, read = zip(*map(self._products, blocks), strict=True)
      gains = [
        m**2 / np.maximum(r, 1e-30) if self.is_scaled else 2 * m - r
        for m, r in zip(met, read, strict=True)
      ]
      if len(axes) == 2:
        [gain] = gains
        best = np.unravel_index(gain.argmax(), gain.shape)
        self.start[blocks[0]] = int(best[0]), int(best[1])
      else:
        axis = ["input", "output"].index(axes[0])
        others = [self.start[block][1 - axis] for block in blocks]
        total = sum(
          np.take(gain, at, 1 - axis) for gain, at in zip(gains, others, strict=True)
        )
        best = int(np.argmax(total))
        for block, at in zip(blocks, others, strict=True):
          self.start[block] = (best, at) if axis == 0 else (at, best)
      if self.is_scaled:
        for block, m, r in zip(blocks, met, read, strict=True):
          at = self.start[block]
          self.factor[block] = float(m[at] / max(r[at], 1e-30))
    for block in blocks:
      self._put(block, 1)

  def _put(self, block: Block, sign: int) -> None:
    factor, to = self.factor[block], self.start[block]
    self.above += sign * factor * np.roll(self.weights[block], to, (1, 2))
    self.below += sign * factor**2 * np.roll(self.there[block], to, (0, 1))

  def _products(self, block: Block) -> tuple[np.ndarray, np.ndarray]:
    """For every start: the block times what it reads, and what it reads squared."""
    # A cell that no other block reads is free, and here zero.
    below = np.broadcast_to(self.below, self.above.shape)
    epitome = least_squares.quotient(self.above, below, least=1e-9)

    def correlate(one: np.ndarray, other: np.ndarray) -> np.ndarray:
      spectrum = np.sum(np.fft.rfft2(one).conj() * np.fft.rfft2(other), 0)
      return np.fft.irfft2(spectrum, self.cells)

    energy = np.sum(epitome**2, 0, keepdims=True)
    return (
      correlate(self.weights[block], epitome),
      correlate(self.there[block][None], energy),
    )

  def _given(self, offsets: Mapping[str, np.ndarray], block: Block) -> Block:
    starts = []
    for axis, (name, cells) in enumerate(
      zip(("input", "output"), self.cells, strict=True)
    ):
      value = offsets.get(name, np.zeros(self.grid))
      start = value[block] if value.ndim == 2 else value[block[axis]]
      starts.append(int(np.round(start)) % cells)
    return starts[0], starts[1]

  def _taken(self, name: str) -> np.ndarray:
    axis = ["input", "output"].index(name)
    starts = np.zeros(self.grid, np.float32)
    for block, start in self.start.items():
      starts[block] = start[axis]
    if self.is_blockwise:
      return starts
    return starts[:, 0] if axis == 0 else starts[0]
