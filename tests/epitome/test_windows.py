"""Kernels cut into windows and put together, and the cheapest rows of a table."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural_epitome.epitome import windows


@st.composite
def cut(draw):
  """A kernel and a window that may span outputs, and jut out of it."""
  shape = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
  extents = tuple(draw(st.integers(1, size + 2)) for size in shape)
  random = np.random.default_rng(draw(st.integers(0, 99)))
  return random.normal(size=shape).astype(np.float32), extents


@given(cut())
def test_together_is_the_inverse_of_apart(case):
  kernel, extents = case
  rows = windows.apart(kernel, extents)
  assert rows.shape == (
    np.prod(windows.counts(kernel.shape, extents)),
    np.prod(extents),
  )
  np.testing.assert_array_equal(windows.together(rows, kernel.shape, extents), kernel)


@given(cut())
def test_a_row_is_a_window_of_the_kernel_and_zeros_beyond_it(case):
  kernel, extents = case
  rows, blocks = windows.apart(kernel, extents), windows.counts(kernel.shape, extents)
  for block, row in zip(np.ndindex(*blocks), rows, strict=True):
    part = tuple(slice(b * e, (b + 1) * e) for b, e in zip(block, extents, strict=True))
    inside = kernel[part]
    expected = np.zeros(extents, np.float32)
    expected[tuple(map(slice, inside.shape))] = inside
    np.testing.assert_array_equal(row, expected.reshape(-1))


@pytest.mark.parametrize(("length", "size"), [(1, 1), (12, 1), (12, 5), (5, 5)])
def test_a_window_of_a_ring_goes_on_at_its_beginning(length, size):
  ring = np.random.default_rng(length).normal(size=length).astype(np.float32)
  table = windows.table(jnp.asarray(ring), size)
  np.testing.assert_array_equal(table, ring[windows.places(length, size)])
  twice = np.concatenate([ring, ring])
  for start in range(length):
    np.testing.assert_array_equal(table[start], twice[start : start + size])


@given(
  st.sampled_from([0, 1, 15, 300]),
  st.sampled_from([1, 7, 2000]),
  st.sampled_from([1, 5, 20]),
)
def test_the_cheapest_row_is_that_of_trying_all(count, length, size):
  random = np.random.default_rng(count + length + size)
  rows = random.normal(size=(count, size)).astype(np.float32)
  table = random.normal(size=(length, size)).astype(np.float32)
  found = windows.cheapest(rows, table)
  assert found.dtype == np.int32
  prices = rows.astype(np.float64) @ table.T.astype(np.float64)
  least = prices[np.arange(count), found]
  np.testing.assert_allclose(least, prices.min(1), atol=1e-4)
