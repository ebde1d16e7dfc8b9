"""Gates learn beside weights that stand: towards less loss, and towards a price."""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_epitome import models
from neural_epitome.errors import UserError
from neural_epitome.spaces.branches import Branches
from neural_epitome.spaces.gate_options import GateOptions, Penalty
from neural_epitome.spaces.multi_branch_prices import BranchPrices
from neural_epitome.strategies.policies import two_paths
from neural_epitome.training import gate_step
from neural_epitome.training.gate_step import GateSlots
from tests.spaces.test_multi_branch_supernet import CONFIG, SPACE

SLOTS = GateSlots(BranchPrices(SPACE, classes=5, channels=3), GateOptions())
FREE = GateOptions(learning_rate=0.1, penalties=())
SETS = jnp.array(list(itertools.product(range(8), repeat=3)))


@pytest.mark.slow
def test_every_set_has_the_gates_and_the_price_of_its_choice():
  logs = SLOTS.log_probabilities(jnp.zeros((3, 3)), jnp.asarray(SLOTS.exists))
  for sets in SETS[::37]:
    if np.any(np.asarray(logs)[np.arange(3), sets] < -1e20):
      continue
    arch = Branches(np.asarray(SLOTS.wide(sets)))
    assert SPACE.canonical(arch) == arch
    shares = jnp.array([[1.0, 0.0]] * 3)
    price = SLOTS.price(shares, jnp.stack([sets, sets], axis=1))
    expected = SPACE.price(arch, 3, 5)["madds"] / 1e6
    assert price == pytest.approx(expected, rel=1e-5)


def test_more_operations_than_have_sets_are_refused():
  with pytest.raises(
    UserError, match="has 19 operations in use, and gates learn of 10"
  ):
    GateSlots(BranchPrices(dataclasses.replace(SPACE, only=()), 5, 3), FREE)


@pytest.fixture(scope="module")
def setting():
  """Model, its first variables, a batch."""
  model = models.create(CONFIG, 5)
  image = jax.random.normal(jax.random.key(0), (8, 16, 16, 3))
  batch = {"image": image, "label": jnp.arange(8) % 5}
  variables = jax.jit(model.init)(jax.random.key(1), image)
  # Of weights that say little, all choices are alike.
  classifier = jax.tree.map(lambda x: 8.0 * x, variables["params"]["classifier"])
  params = variables["params"] | {"classifier": classifier}
  return model, variables | {"params": params}, batch


def train(setting, options, steps, state=None, kept=None):
  """State and metrics after so many steps; each has a key by its number."""
  model, variables, batch = setting

  @jax.jit
  def step(state, key):
    arguments = (model, SLOTS, options, state, variables, batch, key, kept)
    moved = gate_step.step(*arguments)
    return moved, {"price": moved.price, "active": jnp.sum(moved.active)}

  state, history = state or SLOTS.start(options), []
  for number in steps:
    state, metrics = step(state, jax.random.fold_in(jax.random.key(7), number))
    history.append({name: float(value) for name, value in metrics.items()})
  return state, history


def expected_loss(setting, state):
  """Exactly, over all sets of all cells; and the least of them."""
  model, variables, batch = setting

  def loss(sets):
    arch = {"arch": Branches(SLOTS.wide(sets))}
    logits, _ = model.apply(
      {**variables, "arch": arch}, batch["image"], train=True, mutable=["batch_stats"]
    )
    logs = jax.nn.log_softmax(logits)
    return -jnp.mean(jnp.take_along_axis(logs, batch["label"][:, None], axis=1))

  logs = SLOTS.log_probabilities(state.alpha, state.active)
  weights = jnp.exp(jnp.sum(logs[jnp.arange(3), SETS], axis=1))
  possible = np.flatnonzero(weights > 0)
  losses = jax.jit(functools.partial(jax.lax.map, loss))(SETS[possible])
  return float(jnp.sum(weights[possible] * losses)), float(jnp.min(losses))


@pytest.mark.slow
def test_the_expected_loss_falls_and_a_resumed_state_goes_on_alike(setting):
  before, least = expected_loss(setting, SLOTS.start(FREE))
  state, _ = train(setting, FREE, range(60))
  after, _ = expected_loss(setting, state)
  assert least < after < before - 0.25 * (before - least)
  half, _ = train(setting, FREE, range(30))
  leaves, tree = jax.tree.flatten(half)
  read = jax.tree.unflatten(tree, [jnp.asarray(np.asarray(leaf)) for leaf in leaves])
  resumed, _ = train(setting, FREE, range(30, 60), read)
  jax.tree.map(np.testing.assert_array_equal, resumed, state)


@pytest.mark.slow
def test_a_price_comes_down_to_its_target_and_what_is_kept_is_not_dropped(setting):
  smallest = SPACE.price(SPACE.smallest, 3, 5)["madds"] / 1e6
  penalty = Penalty(target=smallest, weight=1e4)
  options = GateOptions(learning_rate=0.2, penalties=(penalty,))
  kept = jnp.zeros((3, 3), bool).at[0, 1].set(True)
  state, history = train(setting, options, range(80), kept=kept)
  prices = [metrics["price"] for metrics in history]
  assert np.mean(prices[-10:]) < np.mean(prices[:10])
  assert history[-1]["active"] < history[0]["active"] == SLOTS.exists.sum()
  assert state.active[0, 1]
  # The cell that strides keeps two.
  assert jnp.sum(state.active[1]) >= 2
  probabilities = jnp.exp(SLOTS.log_probabilities(state.alpha, state.active))
  gone = np.asarray(SLOTS.exists & ~state.active)
  sets = two_paths.subsets(3)
  for cell, gate in np.argwhere(gone):
    assert np.all(probabilities[cell, sets[:, gate]] == 0)


@pytest.mark.slow
@pytest.mark.parametrize("one_exists", [True, False])
def test_a_cell_that_needs_its_only_operation_leaves_the_others_learning(one_exists):
  """Whether the space has no other operation for it, or the others were dropped."""
  only = (SPACE.only[0], (1,), SPACE.only[2]) if one_exists else SPACE.only
  space = dataclasses.replace(SPACE, only=only)
  slots = GateSlots(BranchPrices(space, 5, 3), FREE)
  model = models.create(CONFIG.__class__(space), 5)
  image = jax.random.normal(jax.random.key(0), (4, 16, 16, 3))
  batch = {"image": image, "label": jnp.arange(4)}
  variables = jax.jit(model.init)(jax.random.key(1), image)
  state = slots.start(FREE)
  state = dataclasses.replace(state, active=state.active.at[1, 1:].set(False))
  step = jax.jit(lambda *a: gate_step.step(model, slots, FREE, *a))
  moved = step(state, variables, batch, jax.random.key(2))
  assert np.isfinite(moved.loss)
  assert np.isfinite(moved.price)
  assert np.all(np.isfinite(moved.alpha))
  assert np.all(moved.alpha[1] == 0)
  assert np.any(moved.alpha[0] != 0)
