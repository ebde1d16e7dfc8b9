"""Other ways to store kernels: what they read back, and the bytes that are counted."""

import functools

import numpy as np
import pytest

from benchmarks.compress import code_books, rivals

KERNELS = {
  name: np.random.default_rng(len(name)).normal(0, scale, shape).astype(np.float32)
  for name, shape, scale in [("conv", (16, 1, 12, 8), 0.1), ("dense", (64, 40), 3.0)]
}
BUDGETS = (1200.0, 2400.0)


def error(coded):
  return sum(
    float(np.sum((coded.kernels[n] - k) ** 2) / np.sum(k**2))
    for n, k in KERNELS.items()
  )


@pytest.mark.parametrize("method", [rivals.uniform_scalars, rivals.low_rank])
def test_what_has_a_budget_uses_it_and_gains_from_it(method):
  small, large = (method(KERNELS, budget) for budget in BUDGETS)
  assert error(large) < error(small)
  for coded, budget in ((small, BUDGETS[0]), (large, BUDGETS[1])):
    assert 0.9 * budget < coded.nbytes <= budget


def test_integers_take_their_bits_and_a_scale_an_output():
  coded = rivals.each(functools.partial(rivals.round_to_nearest, bits=4), KERNELS)
  assert coded.nbytes == (16 * 12 * 8 + 64 * 40) / 2 + 2 * (8 + 40)
  for name, kernel in KERNELS.items():
    for made in coded.kernels[name].reshape(-1, kernel.shape[-1]).T:
      assert len(np.unique(made)) <= 15


def test_palettes_lose_less_than_integers_of_as_many_bits():
  integers = rivals.each(functools.partial(rivals.round_to_nearest, bits=3), KERNELS)
  palette = rivals.each(functools.partial(rivals.palette, levels=8), KERNELS)
  assert error(palette) < error(integers)


@pytest.mark.parametrize("name", KERNELS)
def test_a_code_book_holds_the_runs_of_a_kernel(name):
  kernel = KERNELS[name]
  made, nbytes = rivals.product_quantised(kernel, size=4, words=16)
  runs = kernel.size // 4
  assert nbytes == runs / 2 + 16 * 4 + 4 + 2 * kernel.shape[-1]
  scale = code_books.scale_of(kernel)
  axis = 0
  rows = np.moveaxis(made / scale, axis, -1).reshape(-1, 4)
  assert len(np.unique(np.round(rows, 3), axis=0)) <= 16
