"""NAT learns what is rewarded, goes on where it stopped, and keeps its promise."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_epitome.errors import UserError
from neural_epitome.models import cell_files
from neural_epitome.models.cell_operations import NAMES
from neural_epitome.models.cells import Cells, Edge
from neural_epitome.spaces.cell_prices import CellFrame, CellPrices
from neural_epitome.spaces.cell_states import CellSpace, CellStates, described
from neural_epitome.strategies import nat, nat_files
from neural_epitome.strategies.cell_transformer import CellTransformer
from neural_epitome.strategies.nat import Nat
from neural_epitome.strategies.policies import policy_gradient
from neural_epitome.strategies.policies.graph_policy import GraphPolicy
from neural_epitome.strategies.policies.policy_gradient import PolicyGradient

# Seconds of compilation.
pytestmark = pytest.mark.slow
FRAME = CellFrame(cells=3, channels=8, image_size=8)
TINY = Nat(
  GraphPolicy(embedding=8, features=16, hidden=16),
  PolicyGradient(learning_rate=0.02),
  given=4,
  drawn=4,
)


def editor(rule="two_levels", **space):
  return CellStates(CellSpace(frame=FRAME, **space), CellPrices(FRAME), rule)


def skips(archs):
  """The share of edges that are skips."""
  return [
    np.mean([NAMES[e.operation] == "skip" for cell in cells.both for e in cell.edges])
    for cells in archs
  ]


def separable(archs):
  """The share of edges that are separable convolutions."""
  return [
    np.mean(
      [NAMES[e.operation][:3] == "sep" for cell in cells.both for e in cell.edges]
    )
    for cells in archs
  ]


@pytest.mark.parametrize("rule", ["two_levels", "same_skip_null"])
@pytest.mark.parametrize("baseline", ["others", "moving"])
def test_it_learns_what_is_rewarded_and_does_it_to_cells_that_it_never_saw(
  rule, baseline
):
  own, options = editor(rule), dataclasses.replace(TINY, baseline=baseline)
  learned = nat.learn(options, own, skips, steps=40, seed=0)
  given = cell_files.load_cells("darts")
  even = nat.transform(options, nat.start(options, own, 0), own, given, skips)
  better = nat.transform(options, learned, own, given, skips)
  assert np.mean(better.values) > np.mean(even.values) + 0.15
  assert better.after >= better.before
  assert described(given, better.found)


def test_it_tells_apart_what_to_keep_and_what_to_change():
  """Separable convolutions stay, and what may become one does."""
  own = editor()
  learned = nat.learn(TINY, own, separable, steps=60, seed=0)
  random = np.random.default_rng(99)
  given = [own.draw(random) for _ in range(8)]
  for start, reached in (
    (nat.start(TINY, own, 0), -0.02),
    (learned, 0.05),
  ):
    found = [nat.transform(TINY, start, own, cells, separable) for cells in given]
    gain = np.mean([np.mean(own.values) - own.before for own in found])
    assert (gain > reached) == (start is learned)


def test_a_state_that_was_saved_goes_on_as_if_it_had_not(tmp_path):
  own, path = editor(), tmp_path / "policy.npz"
  half = nat.learn(TINY, own, skips, steps=2, seed=3)
  nat_files.save(path, half, TINY)
  read = nat_files.load(path, nat.start(TINY, own, seed=3), TINY)
  jax.tree.map(np.testing.assert_array_equal, read, half)
  whole = nat.learn(TINY, own, skips, steps=4, seed=3)
  resumed = nat.learn(TINY, own, skips, steps=4, seed=3, state=read)
  jax.tree.map(np.testing.assert_array_equal, resumed, whole)


def test_a_file_that_is_no_such_policy_is_an_error_of_one_line(tmp_path):
  own, path = editor(), tmp_path / "policy.npz"
  state = nat.start(TINY, own, 0)
  for text, match in ((None, "cannot be read"), (b"x", "no policy")):
    if text is not None:
      path.write_bytes(text)
    with pytest.raises(UserError, match=match):
      nat_files.load(path, state, TINY)
  np.savez(path, x=np.zeros(3))
  with pytest.raises(UserError, match="no policy of nat"):
    nat_files.load(path, state, TINY)
  nat_files.save(path, state, TINY)
  other = dataclasses.replace(TINY, given=5)
  with pytest.raises(UserError, match="given: 4, not 5") as caught:
    nat_files.load(path, state, other)
  assert "\n" not in str(caught.value)


def test_where_no_change_is_better_what_was_given_stays():
  own = editor()
  given = cell_files.load_cells("resnet")

  def madds(archs):
    return [own.prices.of(cells)["madds"] for cells in archs]

  kept = nat.transform(TINY, nat.start(TINY, own, 0), own, given, madds)
  assert kept.found == given
  assert kept.after == kept.before


@pytest.mark.parametrize("name", cell_files.names())
def test_the_given_cells_come_out_no_dearer(name):
  given = cell_files.load_cells(name)
  space = CellSpace.that_holds(given, FRAME)
  own = CellStates(space, CellPrices(FRAME), "two_levels")
  result = nat.transform(TINY, nat.start(TINY, own, 0), own, given, skips, count=50)
  for change in result.changes:
    for metric, price in own.prices.of(change).items():
      assert price <= own.prices.of(given)[metric]


def test_cells_beyond_the_space_are_an_error_of_one_line():
  enas = cell_files.load_cells("enas")
  with pytest.raises(UserError, match="5 nodes after the inputs"):
    editor().state(enas)
  edges = tuple(Edge(2, 0, 0) for _ in range(3))
  wide = dataclasses.replace(enas.normal, edges=edges, outputs=(2,))
  with pytest.raises(UserError, match="3 edges into node 2"):
    editor().state(Cells(wide, wide))


def test_the_baseline_of_the_paper_is_that_of_rewards_and_not_of_advantages():
  """A constant reward teaches nothing once it is expected."""
  own = editor()
  options = dataclasses.replace(
    TINY, baseline="moving", learning=PolicyGradient(learning_rate=0.02, entropy=0.0)
  )
  state = nat.start(options, own, 0)
  learned = nat.learn(options, own, lambda archs: [0.0] * len(archs), 3, 0, state)
  jax.tree.map(np.testing.assert_array_equal, learned.params, state.params)
  advantages, told = policy_gradient.judged(state, jnp.full(4, 0.3), 0.9)
  assert np.all(advantages == 0)
  assert told.mean == pytest.approx(0.3)


def test_a_transformer_saves_as_it_learns_and_goes_on(tmp_path):
  path = tmp_path / "policy.npz"
  whole = CellTransformer(CellSpace(frame=FRAME), options=TINY)
  learned = whole.learn(skips, steps=4)
  whole.learn(skips, steps=2, path=path)
  resumed = whole.learn(skips, steps=4, path=path)
  jax.tree.map(np.testing.assert_array_equal, resumed.state, learned.state)
  given = cell_files.load_cells("darts")
  result = resumed.transform(given, skips)
  assert result.values == learned.transform(given, skips).values
  assert len(whole.changes(result)) == len(described(given, result.found)) > 0
  for name, price in whole.prices(result.found).items():
    assert price <= whole.prices(given)[name]
  other = dataclasses.replace(whole, rule="same_skip_null")
  with pytest.raises(UserError, match="rule: 'two_levels', not"):
    other.learn(skips, steps=4, path=path)


def test_an_evaluator_that_leaves_out_networks_is_an_error_of_one_line():
  transformer = CellTransformer(CellSpace(frame=FRAME), options=TINY)
  with pytest.raises(UserError, match="20 networks and returned 3 values"):
    transformer.learn(lambda archs: [0.0] * 3, steps=1)
