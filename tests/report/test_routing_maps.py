"""What is drawn is what the sampler does."""

import jax.numpy as jnp
import numpy as np
import pytest

from neural_epitome.epitome import sampling
from neural_epitome.report import routing_maps

RNG = np.random.default_rng(0)
# Kernel, epitome, offsets: factorised, ragged and blockwise, a dense layer.
CASES = {
  "factorised": (
    (6, 8),
    (3, 4),
    {"input": RNG.uniform(-9, 9, 2), "output": RNG.uniform(-9, 9, 2)},
  ),
  "ragged": ((7, 10), (3, 4), {"output": RNG.uniform(0, 4, 3)}),
  "blockwise": (
    (7, 9),
    (4, 3),
    {"input": RNG.uniform(0, 4, (2, 3)), "output": RNG.uniform(0, 3, (2, 3))},
  ),
  "tile": ((6, 8), (3, 4), {}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_painted_kernel_is_the_epitomes_colours_sampled(name):
  shape, cells, offsets = CASES[name]
  offsets = {axis: np.float32(value) for axis, value in offsets.items()}
  colours = routing_maps.palette(*cells)
  expected = np.stack(
    [
      sampling.sample(
        jnp.float32(colours[..., channel]),
        {axis: jnp.asarray(value) for axis, value in offsets.items()},
        shape,
      )
      for channel in range(3)
    ],
    axis=-1,
  )
  painted = routing_maps.painted(offsets, shape, cells)
  np.testing.assert_allclose(painted, expected, atol=2e-6)


def test_every_channel_pair_has_a_colour_of_its_own():
  colours = routing_maps.palette(8, 8).reshape(-1, 3)
  distances = np.linalg.norm(colours[:, None] - colours[None], axis=-1)
  assert distances[~np.eye(64, dtype=bool)].min() > 0.02


def test_windows_stay_inside_the_epitome():
  offsets = {"spatial": np.float32([-1.0, 9.0])}
  windows = routing_maps.windows(offsets, (3, 3, 4, 4), (4, 5, 2, 2))
  np.testing.assert_array_equal(windows, [[0.0, 2.0]])
  tile = routing_maps.windows({}, (3, 3, 4, 4), (4, 5, 2, 2))
  np.testing.assert_array_equal(tile, [[0.0, 0.0]])


def test_layers_are_found_by_path():
  routing = {"a": {"b": {"map": {"input": np.ones(2)}, "frozen": True}}}
  assert list(routing_maps.layers(routing)) == ["a/b"]
  assert routing_maps.layers({}) == {}
