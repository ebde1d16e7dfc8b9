"""Indices of weights: a kernel put together from them is the generated one."""

import numpy as np
import pytest

from neural_epitome.epitome import weight_indices
from neural_epitome.epitome.generators import (
  ChannelEpitome,
  Epitome,
  Hashed,
  SharedEpitome,
  WSNet,
)

SHAPE = (3, 3, 8, 12)
GENERATORS = {
  "scaled": Epitome((3, 3, 4, 5), "tile", scaled=True),
  "routed": Epitome((4, 4, 4, 5), "blockwise"),
  "channel": ChannelEpitome(4),
  "hashed": Hashed(40, seed=7),
  "wsnet": WSNet(5.0),
  "shared": SharedEpitome(47, start=11, block=40),
}


def drawn(generator):
  random = np.random.default_rng(1)
  tensors = {
    role: random.normal(size=size).astype(np.float32)
    for role, size in generator.tensors(SHAPE).items()
  }
  cells = generator.start_cells(SHAPE)
  offsets = {
    axis: random.integers(0, cells[axis][0], size).astype(np.float32)
    for axis, size in generator.offsets(SHAPE).items()
  }
  return tensors, offsets


@pytest.mark.parametrize("name", GENERATORS)
def test_a_weight_is_the_product_of_the_numbers_at_its_indices(name, monkeypatch):
  generator = GENERATORS[name]
  tensors, offsets = drawn(generator)
  names = {role: f"a/{role}" for role in tensors}
  # Two digits, where a float32 would do with one.
  monkeypatch.setattr(weight_indices, "_DIGIT", 50)
  read = weight_indices.find(generator, SHAPE, offsets, names)
  stored = {names[role]: tensor for role, tensor in tensors.items()}
  expected = weight_indices.generate(generator, SHAPE, tensors, offsets).reshape(-1)
  np.testing.assert_allclose(read.factors(stored, ""), expected, atol=1e-6)
  for tensor in stored:
    number = stored[tensor].reshape(-1)[read.indices[tensor]]
    np.testing.assert_allclose(
      read.factors(stored, tensor) * number, expected, atol=1e-6
    )


def test_offsets_between_cells_are_refused():
  tensors, offsets = drawn(GENERATORS["channel"])
  offsets["output"] += 0.5
  with pytest.raises(ValueError, match="whole cells"):
    weight_indices.find(
      GENERATORS["channel"], SHAPE, offsets, {role: role for role in tensors}
    )
