"""Where offsets start, how the map follows them, and what freezing does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_epitome.epitome import routing
from neural_epitome.epitome.generators import Epitome
from neural_epitome.epitome.routing import IndexOptions

SHAPE, EPITOME = (3, 3, 8, 12), (5, 4, 4, 4)


def start(kind, structure, key=0, noise=0.0):
  generator = Epitome(EPITOME, structure)
  options = IndexOptions(start=kind, noise=noise)
  return routing.starting_offsets(
    options,
    jax.random.key(key),
    generator.offsets(SHAPE),
    generator.start_cells(SHAPE),
  )


@pytest.mark.parametrize("structure", ["factorised", "blockwise"])
def test_zero_start_is_a_tile(structure):
  assert all(not np.any(v) for v in start("zero", structure).values())


@pytest.mark.parametrize("structure", ["factorised", "blockwise"])
def test_random_start_is_integer_and_inside_the_epitome(structure):
  drawn = [start("random", structure, key) for key in range(20)]
  for axis, room in (("input", 4), ("output", 4), ("spatial", np.array([3, 2]))):
    values = np.stack([offsets[axis] for offsets in drawn])
    np.testing.assert_array_equal(values, np.round(values))
    assert values.min() == 0
    assert np.all(values < room)
    assert len(np.unique(values)) > 1


def test_spread_start_lies_evenly_over_the_ring_of_a_channel_axis():
  offsets = start("spread", "factorised")
  np.testing.assert_allclose(offsets["input"], [0.0, 2.0])
  np.testing.assert_allclose(offsets["output"], [0.0, 4 / 3, 8 / 3], rtol=1e-6)
  np.testing.assert_allclose(offsets["spatial"], [1.0, 0.5])


def test_spread_start_gives_every_block_its_own_offset():
  offsets = start("spread", "blockwise")
  for axis in ("input", "output"):
    assert len(np.unique(offsets[axis])) == offsets[axis].size


def test_routing_map_is_the_bias_corrected_average_of_what_it_followed():
  momentum, values = 0.9, [3.0, 5.0, -2.0, 7.0]
  routing_map, weight = {"input": jnp.array([100.0])}, jnp.float32(0.0)
  for value in values:
    offsets = {"input": jnp.array([value])}
    routing_map, weight = routing.follow(routing_map, weight, offsets, momentum)
  weights = momentum ** np.arange(len(values))[::-1]
  expected = np.sum(weights * values) / np.sum(weights)
  np.testing.assert_allclose(routing_map["input"], [expected], rtol=1e-5)
  np.testing.assert_allclose(weight, 1 - momentum ** len(values), rtol=1e-5)


def test_following_stops_gradients():
  def total(value):
    offsets = {"input": value[None]}
    return routing.follow({"input": jnp.zeros(1)}, jnp.float32(0.0), offsets, 0.9)[0][
      "input"
    ].sum()

  assert jax.grad(total)(jnp.float32(2.0)) == 0.0


def test_freezing_rounds_channel_offsets_and_leaves_spatial_ones():
  layer = {
    "map": {
      "input": jnp.array([1.4, -0.6]),
      "output": jnp.array([2.6]),
      "spatial": jnp.array([0.3, 0.7]),
    },
    "weight": jnp.float32(0.5),
    "frozen": jnp.array(False),
  }
  frozen = routing.freeze({"block": {"conv": layer}})["block"]["conv"]
  np.testing.assert_array_equal(frozen["map"]["input"], [1.0, -1.0])
  np.testing.assert_array_equal(frozen["map"]["output"], [3.0])
  np.testing.assert_array_equal(frozen["map"]["spatial"], layer["map"]["spatial"])
  assert bool(frozen["frozen"])
  assert frozen["weight"] == layer["weight"]


def test_flattened_offsets_come_back():
  offsets = start("random", "blockwise")
  shapes = {axis: value.shape for axis, value in offsets.items()}
  again = routing.unflatten(routing.flatten(offsets), shapes)
  assert again.keys() == offsets.keys()
  for axis, value in offsets.items():
    np.testing.assert_array_equal(again[axis], value)
