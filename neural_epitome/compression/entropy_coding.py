"""Symbols in about as many bits as their frequencies allow, for NumPy to read fast.

Range asymmetric numeral systems (Duda, 2013, arXiv 1311.2540, section 3), many streams
side by side. `compact_reader.coded` reads what is written here, and says how it lies.
"""

import numpy as np

from neural_epitome.compression import compact_reader

# The most frequent symbol's code: others are a multiple of half an octave below.
_HIGHEST = 41
# Largest alphabet whose frequencies are stored as bytes.
_SMALL = 64


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


def encode(symbols: np.ndarray, count: int) -> np.ndarray:
  """Bytes from which `compact_reader.coded` gets the symbols.

  Args:
    symbols: integers in 0 .. count - 1, of any shape.
    count: of different symbols that there may be, at most
      `compact_reader.MOST_SYMBOLS`.
  """
  symbols = np.asarray(symbols).reshape(-1).astype(np.int64)
  codes = frequency_codes(np.bincount(symbols, minlength=count))
  table = codes if count <= _SMALL else encode(codes, _SMALL)
  counts = compact_reader.frequencies(codes)
  ends = np.cumsum(counts)
  total, starts = max(int(ends[-1]), 1), ends - counts
  shift = 44 - total.bit_length()
  lanes = compact_reader.lanes(len(symbols))
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
    now[:] = rounds * total + rest + starts[symbol]
  row = np.concatenate([*words[::-1], np.zeros(0, "<u2")])
  parts = [state.astype("<u8"), np.array([len(row)], "<u4"), row]
  return np.concatenate([table, *(part.view(np.uint8) for part in parts)])
