"""Folding is an identity: the same output as with the kernel built in full."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_epitome.epitome.folding import fold, wrap
from neural_epitome.epitome.generators import Epitome
from neural_epitome.epitome.geometry import Application
from neural_epitome.epitome.sampling import repeat_shifted, sample
from tests.epitome.strategies import cases


@pytest.mark.slow
@given(
  cases(axes=(1, 2), routings=("tile", "factorised")),
  st.integers(1, 2),
  st.integers(1, 2),
  st.integers(0, 2),
  st.integers(1, 3),
)
@settings(max_examples=40)
def test_fold_equals_materialise(case, stride, dilation, padding, groups):
  rank = len(case.shape) - 2
  columns = -(-case.shape[-1] // case.epitome.shape[-1])
  if case.shape[-1] % groups:
    groups = 1
  application = Application(
    (stride,) * rank, ((padding, padding),) * rank, (dilation,) * rank, groups
  )
  space = (9, 8)[:rank]
  x = jax.random.normal(jax.random.key(1), (2, *space, groups * case.shape[-2]))

  @jax.jit
  def both(x, epitome, offsets):
    kernel = sample(epitome, offsets, case.shape)
    folded = fold(x, epitome, offsets, case.shape, application)
    return folded, application(x, kernel)

  folded, expected = both(x, case.epitome, case.offsets)
  if folded is None:
    rows = -(-case.shape[-2] // case.epitome.shape[-2])
    assert rows == 1
    assert columns == 1 or groups > 1
    return
  np.testing.assert_allclose(folded, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@given(cases(axes=(0,), routings=("tile", "factorised")))
def test_fold_equals_materialise_for_dense_layers(case):
  x = jax.random.normal(jax.random.key(1), (3, case.shape[0]))

  @jax.jit
  def both(x, epitome, offsets):
    kernel = sample(epitome, offsets, case.shape)
    return fold(x, epitome, offsets, case.shape, Application()), x @ kernel

  folded, expected = both(x, case.epitome, case.offsets)
  if folded is None:
    assert case.epitome.shape == case.shape
  else:
    np.testing.assert_allclose(folded, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@given(cases(axes=(0,), routings=("factorised",)))
def test_wrap_is_the_transpose_of_repeat_shifted(case):
  full, small = case.shape[0], case.epitome.shape[0]
  starts = case.offsets.get("input")

  keys = jax.random.split(jax.random.key(1))
  x, y = jax.random.normal(keys[0], (full,)), jax.random.normal(keys[1], (small,))

  @jax.jit
  def products(x, y):
    spread = repeat_shifted(y, starts, full, axis=-1)
    return jax.numpy.dot(spread, x), jax.numpy.dot(y, wrap(x, starts, small))

  np.testing.assert_allclose(*products(x, y), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("routing", ["blockwise", "factorised"])
def test_nothing_folds_where_nothing_repeats_or_blocks_differ(routing):
  shape = (1, 1, 4, 4)
  generator = Epitome(
    (1, 1, 4, 4) if routing == "factorised" else (1, 1, 2, 2), routing
  )
  offsets = {a: jax.numpy.zeros(s) for a, s in generator.offsets(shape).items()}
  epitome = jax.numpy.ones(generator.shape)
  application = Application((1, 1), ((0, 0), (0, 0)), (1, 1))
  x = jax.numpy.ones((1, 2, 2, 4))
  assert fold(x, epitome, offsets, shape, application) is None
