"""Entropy-coded symbols: any come back, in about their entropy; damage is refused."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural_epitome.compression import compact_file, compact_reader, entropy_coding
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.generators import WindowedEpitome
from neural_epitome.epitome.geometry import KernelUse


@st.composite
def rows(draw):
  """Symbols of alphabets from one to the most, even or skewed."""
  count = draw(st.sampled_from([1, 2, 3, 63, 64, 65, 1000, 1 << 14]))
  size = draw(st.sampled_from([0, 1, 2, 50, 1023, 1025, 4000]))
  skew = draw(st.sampled_from([0.0, 1.0, 4.0, 60.0]))
  random = np.random.default_rng(draw(st.integers(0, 999)))
  return np.floor(random.random(size) ** (1.0 + skew) * count).astype(np.int64), count


def decoded(row, size, count):
  symbols, rest = compact_reader.coded(row, size, count)
  assert len(rest) == 0
  return symbols


@given(rows())
def test_any_symbols_come_back(case):
  symbols, count = case
  row = entropy_coding.encode(symbols, count)
  assert row.dtype == np.uint8
  np.testing.assert_array_equal(decoded(row, len(symbols), count), symbols)


@st.composite
def walks(draw):
  """Symbols that follow from their neighbours along an axis, and that axis."""
  shape = draw(
    st.sampled_from([(1,), (9,), (3, 3), (70, 40), (5, 7, 60), (1200, 3), (3, 1200)])
  )
  axis = draw(st.integers(0, len(shape) - 1))
  count = draw(st.sampled_from([1, 2, 5, 64, 200, 1 << 14]))
  random = np.random.default_rng(draw(st.integers(0, 999)))
  steps = random.integers(-1, 2, shape) * draw(st.sampled_from([0, 1, 9]))
  return np.clip(np.cumsum(steps, axis) + count // 2, 0, count - 1), axis, count


def turned(symbols, axis):
  """As they are coded, and how far before the last one lies."""
  row = np.moveaxis(symbols, axis, 0).reshape(-1)
  return row, symbols.size // symbols.shape[axis]


@pytest.mark.slow
@given(walks())
def test_any_symbols_come_back_from_their_contexts(case):
  symbols, axis, count = case
  row = entropy_coding.encode(symbols, count, axis)
  assert row.dtype == np.uint8
  expected, distance = turned(symbols, axis)
  again, rest = compact_reader.coded(row, symbols.size, count, distance)
  assert len(rest) == 0
  np.testing.assert_array_equal(again, expected)


def test_what_follows_from_its_neighbour_takes_the_fewer_bytes():
  random = np.random.default_rng(0)
  symbols = np.cumsum(random.integers(-1, 2, (40, 900)), 0) + 60
  sizes = [len(entropy_coding.encode(symbols, 120, axis)) for axis in (None, 0, 1)]
  entropy = symbols.size * np.log2(3) / 8
  assert entropy < sizes[1] < min(0.7 * sizes[0], 1.5 * entropy)
  assert sizes[2] < 1.01 * sizes[0]


@pytest.mark.slow
def test_streams_that_would_take_long_are_refused():
  symbols = np.zeros((1 << 16, 1), int)
  row = entropy_coding.encode(symbols, 3, 0)
  assert not compact_reader.coded(row, symbols.size, 3, 1)[0].any()
  with pytest.raises(compact_reader.CompactError, match="too few streams"):
    compact_reader.coded(row, symbols.size + 1, 3, 1)


@pytest.mark.slow
@given(walks(), st.integers(0, 10**6), st.integers(1, 255))
def test_damaged_contexts_are_refused_or_give_symbols(case, place, change):
  symbols, axis, count = case
  row = entropy_coding.encode(symbols, count, axis)
  row[place % len(row)] ^= change
  distance = turned(symbols, axis)[1]
  try:
    again, _ = compact_reader.coded(row, symbols.size, count, distance)
    assert np.all((again >= 0) & (again < count))
  except (compact_reader.CompactError, ValueError, IndexError):
    pass  # of whatever type: `read` and `kernel` make one of them


@given(rows(), st.binary(max_size=40))
def test_what_lies_behind_a_row_is_left_over(case, behind):
  symbols, count = case
  row = entropy_coding.encode(symbols, count)
  row = np.concatenate([row, np.frombuffer(behind, np.uint8)])
  again, rest = compact_reader.coded(row, len(symbols), count)
  np.testing.assert_array_equal(again, symbols)
  assert rest.tobytes() == behind


@pytest.mark.parametrize("count", [2, 64, 256, 2048])
@pytest.mark.parametrize("skew", [0.0, 1.0, 3.0])
def test_a_row_takes_the_entropy_of_its_symbols_and_a_table(count, skew):
  random = np.random.default_rng(count)
  symbols = np.floor(random.random(60_000) ** (1 + skew) * count).astype(int)
  counts = np.bincount(symbols, minlength=count)
  used = counts[counts > 0]
  entropy = float(np.sum(used * np.log2(len(symbols) / used))) / 8
  # A symbol of the table takes a byte at most; a state, eight bytes a lane.
  beside = count + 8 * compact_reader.lanes(len(symbols)) + 100
  size = len(entropy_coding.encode(symbols, count))
  assert entropy <= size <= 1.02 * entropy + beside


@given(rows())
def test_lengths_are_those_of_a_code(case):
  symbols, count = case
  lengths = entropy_coding.code_lengths(np.bincount(symbols, minlength=count))
  assert lengths.shape == (count,)
  # Kraft's inequality, with equality.
  assert np.sum(2.0**-lengths) == pytest.approx(1.0)
  assert np.all(lengths >= 0)


@pytest.mark.slow
@given(rows(), st.integers(0, 10**6), st.integers(1, 255), st.integers(1, 3))
def test_a_damaged_row_is_refused_or_gives_symbols_and_takes_little_memory(
  case, place, change, many
):
  symbols, count = case
  row = entropy_coding.encode(symbols, count)
  for step in range(many):
    row[(place * (step + 1)) % len(row)] ^= change
  tracemalloc.start()
  try:
    again, _ = compact_reader.coded(row, len(symbols), count)
    assert again.shape == symbols.shape
    assert np.all((again >= 0) & (again < count))
  except compact_reader.CompactError:
    pass
  finally:
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
  assert most < 2**22


@given(rows(), st.floats(0, 1, exclude_max=True))
def test_a_row_that_is_cut_is_refused(case, share):
  symbols, count = case
  row = entropy_coding.encode(symbols, count)
  with pytest.raises(compact_reader.CompactError):
    compact_reader.coded(row[: int(share * len(row))], len(symbols), count)


def test_a_file_whose_coded_starts_are_damaged_is_refused_or_read(tmp_path):
  path, shape, random = tmp_path / "one.safetensors", (40, 30), np.random.default_rng(0)
  starts = np.floor(random.random((20, 30)) ** 3 * 100).astype(np.int32)
  size = len(entropy_coding.encode(starts, 100))
  generator = WindowedEpitome(100, (2,), scaled=False, coded_bytes=size)
  plan = plans.make([KernelUse("a/kernel", shape)], {"a/kernel": generator})
  params = {"a/ring": random.normal(size=100).astype(np.float32)}
  compact_file.write_numbers(path, plan, params, {"a/kernel": {"start": starts}})
  whole = bytearray(path.read_bytes())
  refused = 0
  # The starts are the last of the file.
  for place in random.integers(len(whole) - size, len(whole), 60):
    damaged = whole.copy()
    damaged[place] ^= int(random.integers(1, 256))
    path.write_bytes(damaged)
    try:
      kernel = compact_reader.read(path).kernel("a/kernel")
      assert np.isin(kernel, params["a/ring"]).all()
    except compact_reader.CompactError:
      refused += 1
  # What any state may follow is checked where the states end.
  assert refused > 50
