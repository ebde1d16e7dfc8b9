"""The policy that reads graphs: its probabilities, and that nothing gets dearer."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_epitome.models.cell_operations import NAMES, NULL, OPERATIONS
from neural_epitome.models.cells import Cell, Cells, Edge
from neural_epitome.spaces.cell_prices import CellFrame, CellPrices
from neural_epitome.spaces.cell_states import CellSpace, CellStates
from neural_epitome.spaces.graph_state import stack
from neural_epitome.strategies import nat
from neural_epitome.strategies.policies.graph_policy import GraphPolicy

TINY = GraphPolicy(embedding=4, features=8, hidden=8)
SMALL = CellFrame(cells=3, channels=8, image_size=8)


def editor(rule="two_levels", frame=SMALL, latencies=None, **space):
  return CellStates(CellSpace(frame=frame, **space), CellPrices(frame, latencies), rule)


def moved(policy, own, seed=0, scale=1.0):
  """Parameters that prefer something."""
  params = policy.init(jax.random.key(seed), own.tokens, own.slots, own.outputs)
  params["head"] = scale * jax.random.normal(jax.random.key(9), params["head"].shape)
  return params


def one_edge(*edges):
  cell = Cell(
    tuple(Edge(target, source, NAMES.index(name)) for source, target, name in edges),
    (2,),
  )
  return Cells(cell, cell)


def every(state):
  """All options that the rule allows, (count, S)."""
  own = [np.flatnonzero(row) for row in state.allowed]
  return np.array(list(itertools.product(*own)), np.int32)


def affordable(state, options):
  slots = np.arange(options.shape[1])
  return np.all(state.increments[slots, options].sum(axis=1) <= 0, axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["two_levels", "same_skip_null"])
def test_probabilities_of_what_costs_no_more_sum_to_one(rule):
  """With a null edge, which may become a skip only where another edge pays for it."""
  own = editor(rule, nodes=1)
  given = one_edge((0, 2, "null"), (1, 2, "sep_conv_3x3"))
  state = jax.tree.map(lambda leaf: leaf[0], own.state(given))
  options = every(state)
  fits = affordable(state, options)
  assert 0 < fits.sum() < len(options)
  for params in (moved(TINY, own), moved(TINY, own, scale=0.0)):
    logs, entropy = jax.vmap(functools.partial(TINY.score, params, state))(
      jnp.asarray(options)
    )
    probability = np.exp(logs)
    assert probability[fits].sum() == pytest.approx(1.0, abs=1e-5)
    assert np.all(probability[~fits] == 0)
    # The mean of what `score` says is the entropy of the distribution.
    kept = probability[fits]
    exact = -np.sum(kept * np.log(kept))
    assert np.sum(kept * np.asarray(entropy)[fits]) == pytest.approx(exact, rel=1e-4)


@pytest.mark.slow
def test_what_is_drawn_has_these_probabilities():
  own = editor(nodes=1)
  given = one_edge((0, 2, "null"), (1, 2, "dil_conv_3x3"))
  states = stack([own.state(given)])
  params = moved(TINY, own)
  drawn = np.asarray(nat.draw(TINY, params, jax.random.key(1), states, 20_000))[0, :, 0]
  state = jax.tree.map(lambda leaf: leaf[0], own.state(given))
  options = every(state)
  logs, _ = jax.vmap(functools.partial(TINY.score, params, state))(jnp.asarray(options))
  share = np.array([np.mean(np.all(drawn == row, axis=1)) for row in options])
  np.testing.assert_allclose(share, np.exp(logs), atol=0.015)


@pytest.mark.slow
def test_a_node_sees_itself_only_by_its_loop():
  own = editor()
  with_loops, without = TINY, GraphPolicy(4, 8, 8, loops=False)
  one = one_edge((0, 2, "conv_5x5"), (1, 2, "conv_5x5"))
  other = one_edge((0, 2, "sep_conv_5x5"), (1, 2, "conv_5x5"))
  states = [jax.tree.map(lambda leaf: leaf[0], own.state(c)) for c in (one, other)]
  for policy, sees in ((with_loops, True), (without, False)):
    params = moved(policy, own)
    rows = slice(2 * own.slots, 3 * own.slots)
    logits = [policy.logits(params, state)[rows] for state in states]
    assert np.allclose(*logits) != sees


def test_at_the_start_every_allowed_option_is_as_likely():
  own = editor()
  random = np.random.default_rng(0)
  state = own.state(own.draw(random))
  params = TINY.init(jax.random.key(0), own.tokens, own.slots, own.outputs)
  logits = jax.vmap(functools.partial(TINY.logits, params))(state)
  assert np.all(np.asarray(logits) == 0)


def random_latencies(frame, random):
  """Times without any order, as a machine may have them."""
  return {
    (operation.name, place.channels, size, stride): float(random.random())
    for place, size in frame.places
    for stride in (1, 2)
    for operation in OPERATIONS
  }


# With two channels a separable convolution has more parameters than a plain one, and a
# skip that halves the size has parameters where a pool has none.
FRAMES = {
  "small": SMALL,
  "two channels": CellFrame(cells=3, channels=2, image_size=8),
  "imagenet": CellFrame(cells=14, channels=48, image_size=224),
}


@pytest.mark.parametrize("rule", ["two_levels", "same_skip_null"])
@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.slow
def test_no_change_of_hundreds_of_random_graphs_is_dearer(rule, frame, timed):
  """Of a policy that prefers anything, and of one that prefers nothing."""
  random = np.random.default_rng(3)
  frame = FRAMES[frame]
  latencies = random_latencies(frame, random) if timed else None
  own = editor(rule, frame, latencies, null=0.3, outputs="loose")
  given = [own.draw(random) for _ in range(100)]
  states = stack([own.state(cells) for cells in given])
  skips = 0
  for scale in (0.0, 3.0):
    options = nat.draw(
      TINY, moved(TINY, own, scale=scale), jax.random.key(2), states, 4
    )
    for cells, drawn in zip(given, np.asarray(options), strict=True):
      before = own.prices.of(cells)
      for change in drawn:
        after = own.changed(cells, change)
        for metric, price in own.prices.of(after).items():
          assert price <= before[metric] * (1 + 1e-12), (metric, cells, after)
        for old, new in zip(cells.both, after.both, strict=True):
          # Nothing is wired anew, and the output keeps its width.
          assert old.outputs == new.outputs
          wires = [[(e.source, e.target) for e in c.edges] for c in (old, new)]
          assert sorted(wires[0]) == sorted(wires[1])
          was_null = sum(e.operation == NULL for e in old.edges)
          skips += sum(e.operation == NULL for e in new.edges) < was_null
  assert skips or timed  # null edges came to life, paid for by others


def test_the_price_mask_is_what_keeps_the_promise():
  """Without it, the rule of the paper makes cells dearer."""
  random = np.random.default_rng(3)
  own = editor("two_levels", FRAMES["two channels"], null=0.3)
  given = [own.draw(random) for _ in range(50)]
  states = stack([own.state(cells) for cells in given])
  free = type(states)(
    states.adjacency,
    states.tokens,
    states.heads,
    states.allowed,
    np.zeros_like(states.increments),
    states.order,
  )
  params = moved(TINY, own, scale=0.0)
  options = np.asarray(nat.draw(TINY, params, jax.random.key(2), free, 2))
  dearer = [
    own.prices.of(own.changed(cells, change))["parameters"]
    > own.prices.of(cells)["parameters"]
    for cells, drawn in zip(given, options, strict=True)
    for change in drawn
  ]
  assert 0 < np.sum(dearer) < len(dearer)
