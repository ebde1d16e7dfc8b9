"""The supernet of gates computes what the plain network of any choice does."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_epitome import codec, models
from neural_epitome.cost import inventory as inventories
from neural_epitome.models import ModelConfig
from neural_epitome.models.multi_branch import MultiBranchConfig, Stage
from neural_epitome.spaces import MultiBranchSupernetConfig, multi_branch_module
from neural_epitome.spaces.branches import Branches
from neural_epitome.spaces.multi_branch_space import MultiBranchSpace
from neural_epitome.strategies.policies import two_paths

FRAME = MultiBranchConfig(pool="gpu", stem=8, stages=(Stage(16, 2, 1),), head=16)
# A residual cell, one that strides, and a residual one.
SPACE = MultiBranchSpace(FRAME, 16, only=((0, 9), (1, 11, 13), (2, 0)))
CONFIG = MultiBranchSupernetConfig(SPACE)
X = jax.random.normal(jax.random.key(0), (4, 16, 16, 3))


@pytest.fixture(scope="module")
def model():
  return models.create(CONFIG, 5)


@pytest.fixture(scope="module")
def variables(model):
  return jax.jit(model.init)(jax.random.key(1), X)


def plain(variables, network):
  """The variables of a choice's network: a part of the supernet's."""
  names = {
    f"cell_{index}_branch_{number}"
    for index, cell in enumerate(network.cells)
    for number in cell
  }
  return {
    collection: {
      name: value
      for name, value in tree.items()
      if name in names or not name.startswith("cell_")
    }
    for collection, tree in variables.items()
  }


@pytest.mark.slow
@pytest.mark.parametrize("train", [False, True])
def test_it_computes_what_the_network_of_a_choice_does(model, variables, train):
  @functools.partial(jax.jit, static_argnums=0)
  def run(model, variables):
    options = {"mutable": ["batch_stats"]} if train else {}
    return model.apply(variables, X, train=train, **options)

  for arch in (SPACE.smallest, *SPACE.sample(0, count=2)):
    network = SPACE.network(arch)
    gates = jax.tree.map(jnp.asarray, arch)
    ours = run(model, {**variables, "arch": {"arch": gates}})
    theirs = run(models.create(network, 5), plain(variables, network))
    if train:
      (ours, moved), (theirs, expected) = ours, theirs
      jax.tree.map(
        functools.partial(np.testing.assert_allclose, atol=1e-5),
        plain(moved, network),
        expected,
      )
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_training_draws_a_choice_a_step_with_all_branches_alike():
  draw = jax.jit(jax.vmap(functools.partial(multi_branch_module.draw_evenly, SPACE)))
  gates = np.asarray(draw(jax.random.split(jax.random.key(0), 4000)).gates)
  assert not np.any(gates[:, ~SPACE.usable])
  assert np.all(gates[:, 1].any(axis=1))
  share = gates.mean(axis=0)
  np.testing.assert_allclose(share[[0, 2]][SPACE.usable[[0, 2]]], 0.5, atol=0.03)
  # Of the seven sets that are not empty, four have an operation.
  np.testing.assert_allclose(share[1][SPACE.usable[1]], 4 / 7, atol=0.03)


@pytest.mark.slow
def test_one_step_trains_branches_that_are_on_and_no_others(model, variables):
  @jax.jit
  def gradient(params, keys):
    def loss(params):
      logits, _ = model.apply(
        {**variables, "params": params},
        X,
        train=True,
        keys=keys,
        mutable=["batch_stats"],
      )
      return jnp.sum(jnp.sin(logits))

    return jax.grad(loss)(params)

  keys = jax.random.split(jax.random.key(5), 4)
  stream = multi_branch_module._ARCH_STREAM
  key = jax.random.fold_in(keys[0], stream)
  arch = multi_branch_module.draw_evenly(SPACE, key)
  for name, tree in gradient(variables["params"], keys).items():
    moved = [bool(np.any(leaf != 0)) for leaf in jax.tree.leaves(tree)]
    if name.startswith("cell_"):
      _, index, _, number = name.split("_")
      assert any(moved) == bool(arch.gates[int(index), int(number)]), name
    else:
      assert all(moved), name


@pytest.mark.slow
def test_gates_learn_through_two_paths_beside_the_weights(model, variables):
  """One jitted step of the policy: the value is the first path's, weights stand."""
  slots = [np.flatnonzero(own) for own in SPACE.usable]
  count = max(map(len, slots))
  active = jnp.array([[k < len(own) for k in range(count)] for own in slots])
  sets = two_paths.subsets(count)

  def gates(drawn):
    """Of indices of sets, gates (cells, operations)."""
    on = jnp.asarray(sets, jnp.int32)[drawn]
    wide = jnp.zeros(SPACE.usable.shape, jnp.int32)
    for index, own in enumerate(slots):
      wide = wide.at[index, own].set(on[index, : len(own)])
    return wide

  def loss(alpha, key):
    logs = two_paths.log_probabilities(alpha, active, jnp.asarray(SPACE.may_be_empty))
    first, second = two_paths.draw_two(key, jax.lax.stop_gradient(logs))
    shares = two_paths.shares(logs, first, second)
    paths = multi_branch_module.Paths(gates(first), gates(second), shares)
    logits = model.apply({**variables, "paths": {"paths": paths}}, X)
    label = jnp.array([0, 1, 2, 3])
    logs = jax.nn.log_softmax(logits)
    cross_entropy = -jnp.mean(jnp.take_along_axis(logs, label[:, None], axis=1))
    return cross_entropy, (logits, paths)

  step = jax.jit(jax.value_and_grad(loss, has_aux=True))
  alpha = jnp.zeros((3, count))
  (_, (logits, paths)), gradient = step(alpha, jax.random.key(2))
  assert np.any(paths.first != paths.second)
  alone = {**variables, "arch": {"arch": Branches(paths.first)}}
  np.testing.assert_allclose(logits, jax.jit(model.apply)(alone, X), atol=1e-5)
  assert np.all(np.isfinite(gradient))
  assert np.all(np.any(gradient != 0, axis=1))
  assert np.all(gradient[~active] == 0)


def test_it_survives_json():
  assert codec.decode(ModelConfig, codec.encode(CONFIG)) == CONFIG


def test_its_kernels_are_told_without_a_trace():
  told = CONFIG.inventory(5, (16, 16, 3))
  assert told == inventories.take(models.create(CONFIG, 5), (16, 16, 3))


def test_what_a_policy_has_dropped_is_drawn_no_more():
  active = np.array(SPACE.slots.exists)
  active[1, 1:] = active[0, 0] = False
  wide = SPACE.slots.wide(jnp.asarray(active))
  draw = jax.vmap(lambda key: multi_branch_module.draw_evenly(SPACE, key, wide).gates)
  gates = np.asarray(draw(jax.random.split(jax.random.key(0), 200)))
  assert not np.any(gates[:, np.asarray(wide) == 0])
  assert np.all(gates[:, np.asarray(wide) == 1].any(axis=0))
  assert np.all(SPACE.slots.narrow(np.asarray(wide)) == active)


@pytest.mark.slow
def test_a_choice_is_cut_out_of_the_variables(variables):
  arch = SPACE.sample(0, count=1)[0]
  network = SPACE.network(arch)
  cut = CONFIG.sliced(variables, arch)
  expected = plain(variables, network)
  assert jax.tree.structure(cut) == jax.tree.structure(
    {name: expected[name] for name in ("params", "batch_stats")}
  )
  assert CONFIG.final(arch, 5)[0] == network
