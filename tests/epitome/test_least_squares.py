"""The closed form against a solver that knows nothing of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_epitome.epitome import least_squares

RANDOM = np.random.default_rng(0)
INDEX = RANDOM.integers(0, 6, 40)
FACTORS = RANDOM.normal(size=40).astype(np.float32)
KERNEL = RANDOM.normal(size=40).astype(np.float32)
WEIGHT = RANDOM.uniform(0.5, 2.0, 40).astype(np.float32)
# Nothing reads the last of seven numbers.
MATRIX = np.zeros((40, 7), np.float32)
MATRIX[np.arange(40), INDEX] = FACTORS


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("kind", ["numpy", "jax"])
def test_it_is_the_solution_of_the_normal_equations(weight, kind):
  root = np.sqrt(np.ones(40) if weight is None else weight)
  expected = np.linalg.lstsq(MATRIX * root[:, None], KERNEL * root, rcond=None)[0]
  arrays = (FACTORS, KERNEL, weight)
  if kind == "numpy":
    sums = least_squares.sums(lambda w: MATRIX.T @ w, *arrays)
  else:
    arrays = tuple(None if a is None else jnp.asarray(a) for a in arrays)
    _, transposed = jax.vjp(lambda t: jnp.asarray(MATRIX) @ t, jnp.ones(7))
    sums = least_squares.sums(lambda w: transposed(w)[0], *arrays)
  nearest = least_squares.quotient(*sums)
  assert isinstance(nearest, np.ndarray if kind == "numpy" else jax.Array)
  np.testing.assert_allclose(nearest, expected, atol=1e-5)
  assert nearest[-1] == 0.0


def test_a_number_that_is_hardly_read_counts_as_read_by_nothing():
  quotient = least_squares.quotient(np.ones(2), np.array([0.5, 1e-12]), least=1e-9)
  np.testing.assert_array_equal(quotient, [2.0, 0.0])
