"""Two sets of operations a cell: how they are drawn, and the gradient they give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_epitome.errors import UserError
from neural_epitome.spaces.multi_branch_module import combined
from neural_epitome.strategies.policies import Gates, two_paths
from neural_epitome.strategies.policies.gates import probability

# Seconds of compilation.
pytestmark = pytest.mark.slow
ALPHA = jnp.array([[0.3, -1.0, 2.0], [0.0, 0.5, -0.5]])
ALL = jnp.ones((2, 3), bool)
SETS = two_paths.subsets(3)
# The first cell has an input of its output's form, and may be left out.
EMPTY = jnp.array([True, False])


def logs_of(alpha=ALPHA, active=ALL, may_be_empty=EMPTY):
  return two_paths.log_probabilities(alpha, active, may_be_empty)


def test_a_probability_stays_off_its_ends():
  low, half, high = probability(jnp.array([-1e4, 0.0, 1e4])).tolist()
  assert (low, half, high) == pytest.approx((5e-4, 0.5, 0.9995))


def test_gates_are_genes_of_two_options():
  with pytest.raises(UserError, match="one has 3; take kind=categorical"):
    Gates().init((2, 3))


def test_a_set_is_as_likely_as_its_gates_say_given_that_it_is_allowed():
  on = np.asarray(probability(ALPHA))
  probabilities = np.exp(logs_of())
  product = np.prod(np.where(SETS, on[:, None], 1 - on[:, None]), axis=2)
  np.testing.assert_allclose(probabilities[0], product[0], rtol=1e-5)
  without = np.where(SETS.any(axis=1), product[1], 0)
  np.testing.assert_allclose(probabilities[1], without / without.sum(), rtol=1e-5)


def test_operations_out_of_use_are_in_no_set():
  active = jnp.array([[True, False, True], [False, True, True]])
  probabilities = np.exp(logs_of(active=active))
  np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
  for cell in range(2):
    forbidden = np.any(SETS & ~np.asarray(active[cell]), axis=1)
    assert np.all(probabilities[cell, forbidden] == 0)
    # The rest is what two gates alone would say.
    few = logs_of(
      ALPHA[cell : cell + 1, np.asarray(active[cell])],
      jnp.ones((1, 2), bool),
      EMPTY[cell : cell + 1],
    )
    np.testing.assert_allclose(
      probabilities[cell, ~forbidden], np.exp(few[0]), rtol=1e-5
    )


def draws(logs, count):
  keys = jax.random.split(jax.random.key(0), count)
  return jax.jit(jax.vmap(two_paths.draw_two, (0, None)))(keys, logs)


def test_two_different_sets_are_drawn_without_replacement():
  logs = logs_of()
  first, second = (np.asarray(drawn) for drawn in draws(logs, 40_000))
  assert np.all(first != second)
  for cell, p in enumerate(np.exp(logs)):
    joint = np.zeros((8, 8))
    np.add.at(joint, (first[:, cell], second[:, cell]), 1 / len(first))
    expected = p[:, None] * p[None] / (1 - p[:, None])
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(joint, expected, atol=0.01)


def test_a_cell_with_one_set_has_it_twice_and_no_gradient():
  active = jnp.array([[True, False, False], [False, True, False]])
  must = jnp.zeros(2, bool)

  def first_share(alpha):
    logs = logs_of(alpha, active, must)
    drawn = two_paths.draw_two(jax.random.key(0), logs)
    return jnp.sum(two_paths.shares(logs, *drawn)[:, 0]), jnp.stack(drawn)

  (total, drawn), gradient = jax.value_and_grad(first_share, has_aux=True)(ALPHA)
  assert total == 1
  for sets in drawn:
    np.testing.assert_array_equal(SETS[sets], active)
  assert np.all(gradient == 0)


# Toy cells of four operations, whose output is their mean with the input.
COUNT = 4
TOY_SETS = jnp.asarray(two_paths.subsets(COUNT), jnp.float32)
PAIRS = jnp.array([(a, b) for a in range(2**COUNT) for b in range(2**COUNT) if a != b])
EVEN, UNEVEN = jnp.zeros((1, COUNT)), jnp.array([[0.4, -0.3, 0.0, 0.5]])
LOSSES = {
  "linear": lambda y: y[0],
  "quadratic": lambda y: jnp.sum((y - 1.0) ** 2),
  "cross entropy": lambda y: -jax.nn.log_softmax(y)[0],
}


def cell(number, index):
  """The output of a toy cell by one of its sets."""
  keys = jax.random.split(jax.random.key(number))
  outputs, inputs = jax.random.normal(keys[0], (COUNT, 6)), 2 * jnp.ones(6)
  chosen = TOY_SETS[index]
  return (inputs + 2 * chosen @ outputs) / (1.0 + jnp.sum(chosen))


def toy_logs(alpha):
  ones = jnp.ones((1, COUNT), bool)
  return two_paths.log_probabilities(alpha, ones, jnp.ones(1, bool))


def estimated(alpha, loss, number, pair):
  [share] = two_paths.shares(toy_logs(alpha), pair[:1], pair[1:])
  first, second = (cell(number, index) for index in pair)
  return loss(combined(first, second, share))


def compare(alpha, loss, number):
  """Cosine of estimate and exact gradient, and the length of one over the other."""

  def exact(alpha):
    values = jax.vmap(lambda index: loss(cell(number, index)))(jnp.arange(2**COUNT))
    return jnp.sum(jnp.exp(toy_logs(alpha)[0]) * values)

  def mean(alpha):
    # Of all pairs, by the probability that they are drawn, which has no gradient.
    p = jnp.exp(jax.lax.stop_gradient(toy_logs(alpha)[0]))[PAIRS]
    values = jax.vmap(lambda pair: estimated(alpha, loss, number, pair))(PAIRS)
    return jnp.sum(p[:, 0] * p[:, 1] / (1 - p[:, 0]) * values)

  ours, theirs = jax.grad(mean)(alpha)[0], jax.grad(exact)(alpha)[0]
  lengths = jnp.linalg.norm(ours), jnp.linalg.norm(theirs)
  return ours @ theirs / (lengths[0] * lengths[1]), lengths[0] / lengths[1]


@pytest.mark.parametrize("name", LOSSES)
def test_the_mean_of_the_estimator_has_the_direction_of_the_exact_gradient(name):
  run = jax.jit(
    jax.vmap(lambda alpha, number: compare(alpha, LOSSES[name], number), (None, 0))
  )
  for alpha in (EVEN, UNEVEN):
    cosine, length = run(alpha, jnp.arange(8))
    assert np.mean(cosine) > 0.99, cosine
    assert np.all((length > 0.3) & (length < 0.8)), length
    if name != "cross entropy":
      assert np.min(cosine) > 0.99, cosine
  if name != "cross entropy":
    cosine, length = run(EVEN, jnp.arange(8))
    np.testing.assert_allclose(cosine, 1, atol=1e-4)
    # Of 16 sets, 15 may be the second: 8 / 15 of the length.
    np.testing.assert_allclose(length, 8 / 15, rtol=1e-3)


def test_the_value_is_that_of_the_first_set():
  loss = LOSSES["cross entropy"]
  for pair in PAIRS[::50]:
    value = estimated(UNEVEN, loss, 0, pair)
    assert value == pytest.approx(float(loss(cell(0, pair[0]))), rel=1e-5)


def test_the_expected_cost_pulls_gates_towards_the_cheaper_set():
  logs = logs_of()
  first, second = jnp.array([1, 1]), jnp.array([7, 7])

  def price(alpha):
    share = two_paths.shares(logs_of(alpha), first, second)
    return two_paths.expected_cost(share, jnp.array([[1.0, 5.0], [2.0, 2.0]]))

  share = np.asarray(two_paths.shares(logs, first, second))
  assert price(ALPHA) == pytest.approx(float(share[0] @ [1.0, 5.0]) + 2.0)
  gradient = jax.grad(price)(ALPHA)
  # Both sets have the last gate; where they cost the same nothing pulls.
  assert np.all(gradient[0, :2] > 0)
  np.testing.assert_allclose(gradient[0, 2], 0, atol=1e-6)
  np.testing.assert_allclose(gradient[1], 0, atol=1e-6)


def test_the_penalty_holds_a_price_from_both_sides():
  below, at, above = (
    jax.grad(two_paths.resource_penalty)(price, 300.0, 1e-5)
    for price in (290.0, 300.0, 310.0)
  )
  assert below == pytest.approx(-2e-4)
  assert at == 0
  assert above == pytest.approx(2e-4)
