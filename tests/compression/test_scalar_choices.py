"""Even levels in context: of kernels whose neighbours are alike, the fewest bytes."""

import dataclasses

import numpy as np
import pytest

from neural_epitome.compression import choices, kernel_error, scalar_choices
from neural_epitome.compression.storage import COMPACT, Storage


def kernel(axis, factor=1.0):
  """Neighbours along an axis are alike, and many are near zero."""
  random = np.random.default_rng(0)
  made = random.normal(size=(40, 8, 48)).astype(np.float32)
  rows = np.moveaxis(made, axis, 0)
  for i in range(1, len(rows)):
    rows[i] = 0.9 * rows[i - 1] + 0.3 * rows[i]
  return (made * np.abs(made) * factor).astype(np.float32)


def compared(array, storage=COMPACT):
  error = kernel_error.error_of(array)
  return list(scalar_choices.compare(array, array, error, storage))


@pytest.mark.parametrize("axis", range(3))
def test_the_context_is_the_neighbour_that_is_alike(axis):
  every = compared(kernel(axis))
  assert len(every) > 5
  assert {choice.generator.context for choice in every if choice.error < 0.05} == {axis}


@pytest.mark.slow
def test_bytes_and_errors_are_those_that_were_expected():
  array = kernel(0)
  for choice in compared(array):
    exact = choices.store(array, choice).choice
    assert exact.error <= 1.1 * choice.error
    assert 0.9 * choice.nbytes < exact.nbytes < 1.1 * choice.nbytes + 100


@pytest.mark.slow
def test_without_its_context_a_kernel_takes_a_fifth_more():
  array = kernel(0)
  choice = min(compared(array), key=lambda one: abs(one.error - 0.01))
  alone = dataclasses.replace(choice.generator, context=None)
  sizes = [
    choices.store(array, dataclasses.replace(choice, generator=generator)).choice.nbytes
    for generator in (choice.generator, alone)
  ]
  assert sizes[1] > 1.2 * sizes[0]


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1e-9, 1e6, 1e25])
def test_any_size_will_do(factor):
  errors = [choice.error for choice in compared(kernel(0, factor))]
  expected = [choice.error for choice in compared(kernel(0))]
  np.testing.assert_allclose(errors, expected, rtol=0.3, atol=1e-3)


def test_where_nothing_can_be_coded_there_are_none():
  assert not compared(kernel(0), Storage(is_coded=False))
