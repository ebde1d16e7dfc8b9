"""Product quantisation: windows of kernels, each read from a book of words.

The strongest relative of a ring of overlapping windows: the same windows, where every
code word has numbers of its own. As in "And the bit goes down" (Stock et al., 2020),
but for outputs, which have scales.
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from neural_epitome.compression import kernel_error
from neural_epitome.epitome import rounding, windows

_ROUNDS = 20  # of Lloyd's algorithm
# A book has at most one word for so many windows, and so many in all: twice as many as
# papers have.
_WINDOWS_OF_A_WORD, _MOST = 4, 4096
BITS = 8  # of a number of a book

Kernels = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class CodeBook:
  """Kernels that read from one book, which is int8 with one float32 scale.

  Attributes:
    words: float32 (words, d), as they are rounded.
    codes: int32 (windows,) of every kernel.
    scales: float32 (Cout,) of every kernel, as float16 keeps them.
    shapes: of every kernel.
    extents: of a window along every axis of a kernel.
  """

  words: np.ndarray
  codes: Mapping[str, np.ndarray]
  scales: Mapping[str, np.ndarray]
  shapes: Mapping[str, tuple[int, ...]]
  extents: Mapping[str, tuple[int, ...]]

  @property
  def nbytes(self) -> int:
    """Of the book, of codes of log2(words) bits each, and of float16 scales."""
    each = math.log2(len(self.words))
    codes = sum(math.ceil(len(codes) * each / 8) for codes in self.codes.values())
    return self.words.size + 4 + codes + 2 * sum(s.size for s in self.scales.values())

  def kernels(
    self, words: jax.Array, scales: Mapping[str, jax.Array]
  ) -> dict[str, jax.Array]:
    """Every kernel, of words and scales like those of this book."""
    made = {}
    for name, codes in self.codes.items():
      read = words[jnp.asarray(codes)]
      kernel = windows.together(read, self.shapes[name], self.extents[name])
      made[name] = kernel * jax.lax.expand_dims(scales[name], range(kernel.ndim - 1))
    return made


def rounded(words: jax.Array) -> jax.Array:
  """Words as int8 with one factor keeps them; gradients pass."""
  return rounding.straight_through(words.reshape(-1), BITS).reshape(words.shape)


def extents_of(shape: Sequence[int], size: int) -> tuple[int, ...]:
  """A window of about `size` weights: of taps from the last, then of inputs."""
  extents, left = [1] * len(shape), size
  for axis in (*range(len(shape) - 3, -1, -1), len(shape) - 2):
    extents[axis] = max(1, min(left, shape[axis]))
    left //= extents[axis]
  return tuple(extents)


def fit(kernels: Kernels, size: int, words: int, is_weighted: bool = False) -> CodeBook:
  """One book for the kernels, by k-means.

  Args:
    kernels: float32 (*window, inputs, outputs).
    size: weights of a window, as of `extents_of`; no less in one than in another.
    words: of the book; fewer where there are few windows.
    is_weighted: whether differences of neighbouring taps count together, as they do in
      `kernel_error`, where a window is the taps of one input.
  """
  extents = {name: extents_of(kernel.shape, size) for name, kernel in kernels.items()}
  scales = {name: scale_of(kernel) for name, kernel in kernels.items()}
  parts = {
    name: windows.apart(kernel / scales[name], extents[name])
    for name, kernel in kernels.items()
  }
  rows = np.concatenate(list(parts.values()))
  words = min(words, len(rows) // _WINDOWS_OF_A_WORD)
  metric = _metric(kernels, extents) if is_weighted else None
  book = rows[np.random.default_rng(0).permutation(len(rows))[:words]]
  for _ in range(_ROUNDS):
    codes = _nearest(rows, book, metric)
    counts = np.bincount(codes, minlength=words)
    sums = np.stack([np.bincount(codes, column, words) for column in rows.T], 1)
    means = sums / np.maximum(counts, 1)[:, None]
    book = np.where(counts[:, None] > 0, means, book).astype(np.float32)
  book = np.asarray(rounded(jnp.asarray(book)))
  codes = _nearest(rows, book, metric)
  ends = np.cumsum([len(part) for part in parts.values()])[:-1]
  return CodeBook(
    words=book,
    codes=dict(zip(kernels, np.split(codes, ends), strict=True)),
    scales=scales,
    shapes={name: kernel.shape for name, kernel in kernels.items()},
    extents=extents,
  )


def within(
  kernels: Kernels, budget: float, is_weighted: bool = False
) -> list[CodeBook]:
  """Books for kernels of several taps in so many bytes.

  Of four ways the one of least error: windows of all taps or of a row of them, and a
  book for all kernels or one each.

  Raises:
    ValueError: if no way fits.
  """
  sizes = {
    size
    for kernel in kernels.values()
    for size in (math.prod(kernel.shape[:-2]), kernel.shape[-3])
  }
  best, least = None, math.inf
  for size, groups in itertools.product(sizes, ([[*kernels]], [[n] for n in kernels])):
    shares = [(group, size) for group in groups]
    words = _words_within(kernels, shares, budget)
    if words is None:
      continue
    books = [
      fit({name: kernels[name] for name in group}, share, count, is_weighted)
      for (group, share), count in zip(shares, words, strict=True)
    ]
    error = sum(error_of(kernels, book) for book in books)
    if error < least:
      best, least = books, error
  if best is None:
    raise ValueError(f"no code book fits {budget:,.0f} bytes.")
  return best


def error_of(kernels: Kernels, book: CodeBook) -> float:
  """The sum of the relative errors of the kernels of a book, see `kernel_error`."""
  scales = {name: jnp.asarray(scale) for name, scale in book.scales.items()}
  made = book.kernels(jnp.asarray(book.words), scales)
  return sum(kernel_error.error(kernels[n], np.asarray(k)) for n, k in made.items())


def scale_of(kernel: np.ndarray) -> np.ndarray:
  """The deviation of every output from 0, as float16 keeps it; 1 in place of 0."""
  scale = np.sqrt(np.mean(kernel**2, axis=tuple(range(kernel.ndim - 1))))
  scale = scale.astype(np.float16).astype(np.float32)
  return np.where(scale > 0, scale, np.float32(1))


def _words_within(
  kernels: Kernels, shares: Sequence[tuple[Sequence[str], int]], budget: float
) -> list[int] | None:
  """Words of every book, at equally many bits a weight, or None if nothing fits."""
  sizes, counts, fixed = [], [], 0
  for group, size in shares:
    shapes = [kernels[name].shape for name in group]
    windows_of = [math.prod(windows.counts(s, extents_of(s, size))) for s in shapes]
    counts.append(sum(windows_of))
    sizes.append(math.prod(extents_of(shapes[0], size)))
    fixed += 4 + 2 * sum(shape[-1] for shape in shapes)

  def words_at(bits: float) -> list[int]:
    return [
      max(2, min(int(2 ** (bits * size)), count // _WINDOWS_OF_A_WORD, _MOST))
      for size, count in zip(sizes, counts, strict=True)
    ]

  def nbytes(words: Sequence[int]) -> float:
    each = zip(words, sizes, counts, strict=True)
    return fixed + sum(w * size + 1 + n * math.log2(w) / 8 for w, size, n in each)

  low, high = 0.0, 8.0
  if nbytes(words_at(low)) > budget:
    return None
  for _ in range(40):
    middle = (low + high) / 2
    low, high = (middle, high) if nbytes(words_at(middle)) <= budget else (low, middle)
  return words_at(low)


def _metric(
  kernels: Kernels, extents: Mapping[str, tuple[int, ...]]
) -> np.ndarray | None:
  """The Cholesky factor of what differences of a window count, if one fits all."""
  taps = {kernel.shape[:-2] for kernel in kernels.values()}
  windows_ = {extent[:-2] for extent in extents.values()}
  others = {extent[-2:] for extent in extents.values()}
  if len(taps) > 1 or taps != windows_ or others != {(1, 1)}:
    return None
  return np.linalg.cholesky(kernel_error.tap_correlation(taps.pop())).astype(np.float32)


def _nearest(
  rows: np.ndarray, book: np.ndarray, factor: np.ndarray | None
) -> np.ndarray:
  if factor is not None:
    rows, book = rows @ factor, book @ factor
  constant = np.sum(book * book, 1, keepdims=True)
  ones = np.ones((len(rows), 1), np.float32)
  return windows.cheapest(
    np.concatenate([rows, ones], 1), np.concatenate([-2 * book, constant], 1)
  )
