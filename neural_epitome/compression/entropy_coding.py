"""Symbols in about as many bits as their frequencies allow, for NumPy to read fast.

Range asymmetric numeral systems (Duda, 2013, arXiv 1311.2540, section 3), many streams
side by side. `compact_reader.coded` reads what is written here, and says how it lies.
"""

import math

import numpy as np

from neural_epitome.compression import compact_reader

# The most frequent symbol's code: others are a multiple of half an octave below.
_HIGHEST = 41
# Largest alphabet whose frequencies are stored as bytes.
_SMALL = 64
# How many contexts are tried, about.
_CONTEXTS = (1, 4, 8, 16)


def frequency_codes(counts: np.ndarray) -> np.ndarray:
  """Of symbols that occur so often, uint8 (symbols,), see `compact_reader`."""
  counts = np.asarray(counts, np.float64)
  octaves = np.log2(np.maximum(counts, 1) / max(counts.max(initial=1), 1))
  codes = np.clip(np.round(2 * octaves) + _HIGHEST, 1, _HIGHEST)
  return np.where(counts > 0, codes, 0).astype(np.uint8)


def code_lengths(counts: np.ndarray) -> np.ndarray:
  """Bits of each symbol; of one that does not occur, as if it did once.

  Args:
    counts: (symbols,), how often each occurs.
  """
  used = compact_reader.frequencies(frequency_codes(np.maximum(counts, 1)))
  return np.log2(used.sum() / used)


def encode(symbols: np.ndarray, count: int, axis: int | None = None) -> np.ndarray:
  """Bytes from which `compact_reader.coded` gets the symbols.

  Args:
    symbols: integers in 0 .. count - 1, of any shape.
    count: of different symbols that there may be, at most
      `compact_reader.MOST_SYMBOLS`.
    axis: along which the symbol before tells something of a symbol, where neighbouring
      numbers are alike: in as many contexts as take the fewest bytes. None has no
      contexts, and takes the symbols as they lie.
  """
  symbols = np.asarray(symbols).astype(np.int64)
  if axis is None:
    codes = frequency_codes(np.bincount(symbols.reshape(-1), minlength=count))
    table = codes if count <= _SMALL else encode(codes, _SMALL)
    counts = compact_reader.frequencies(codes)
    lanes, total = compact_reader.lanes(symbols.size), max(int(counts.sum()), 1)
    return np.concatenate([table, _stream(symbols.reshape(-1), counts, total, lanes)])
  symbols = np.moveaxis(symbols, axis, 0)
  distance = math.prod(symbols.shape[1:])
  symbols = symbols.reshape(-1)
  before = np.concatenate([np.full(distance, count // 2), symbols])[: len(symbols)]
  lanes = min(compact_reader.lanes(len(symbols)), distance)
  rows = []
  for contexts in _CONTEXTS:
    if contexts * count > compact_reader.MOST_SYMBOLS:
      break
    edges = context_edges(symbols, count, contexts)
    contexts = len(edges) + 1
    context = np.searchsorted(edges, before, "right")
    flat = context * count + symbols
    often = np.bincount(flat, minlength=contexts * count).reshape(contexts, count)
    # A context in which nothing is read needs a frequency all the same.
    often[~often.any(1), 0] = 1
    codes = np.stack([frequency_codes(row) for row in often])
    table = codes.reshape(-1)
    if codes.size > _SMALL:
      table = encode(table, _SMALL)
    counts = compact_reader.in_context(codes).reshape(-1)
    stream = _stream(flat, counts, compact_reader.TOTAL, lanes, context)
    head = np.array([contexts], np.uint8), edges.astype("<u2").view(np.uint8)
    rows.append(np.concatenate([*head, table, stream]))
  return min(rows, key=len)


def context_edges(symbols: np.ndarray, count: int, contexts: int) -> np.ndarray:
  """Symbols at which a new context begins, so that they are about equally frequent."""
  often = np.cumsum(np.bincount(symbols.reshape(-1), minlength=count))
  shares = np.arange(1, contexts) / contexts * max(often[-1], 1)
  edges = np.unique(np.searchsorted(often, shares, "left"))
  # What is frequent has a context of its own.
  edges = np.unique(np.concatenate([edges, edges + 1]))
  return edges[(edges > 0) & (edges < count)][:254]


def _stream(
  symbols: np.ndarray,
  counts: np.ndarray,
  total: int,
  lanes: int,
  context: np.ndarray | None = None,
) -> np.ndarray:
  """States and words of symbols by their frequencies; see `compact_reader.coded`.

  Args:
    symbols: (N,), those of every context behind those of the one before.
    counts: of all of them.
    total: of the counts of a context.
    lanes: streams.
    context: (N,), of each symbol.
  """
  starts = np.cumsum(counts) - counts
  shift = 44 - total.bit_length()
  state = np.full(lanes, total << shift, np.int64)
  words = []
  for begin in reversed(range(0, len(symbols), lanes)):
    symbol = symbols[begin : begin + lanes]
    now = state[: len(symbol)]  # a view
    # The state at which reading the symbol would leave the range.
    high = np.flatnonzero(now >= counts[symbol] << (shift + 16))
    words.append((now[high] & 0xFFFF).astype("<u2"))
    now[high] >>= 16
    rounds, rest = np.divmod(now, counts[symbol])
    before = 0 if context is None else total * context[begin : begin + lanes]
    now[:] = rounds * total + rest + starts[symbol] - before
  row = np.concatenate([*words[::-1], np.zeros(0, "<u2")])
  parts = [state.astype("<u8"), np.array([len(row)], "<u4"), row]
  return np.concatenate([part.view(np.uint8) for part in parts])
