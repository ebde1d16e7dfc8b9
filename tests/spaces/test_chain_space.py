"""A space is refused where it cannot be, and its choices stand for networks."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from neural_epitome import codec, models
from neural_epitome.cost import inventory
from neural_epitome.errors import UserError
from neural_epitome.models import block_module
from neural_epitome.models.chain import ChainBlock, ChainConfig
from neural_epitome.spaces.chain_space import ChainSpace
from tests.spaces.tiny import SPACE


def test_a_part_of_a_space_draws_and_reads_its_choices_alone():
  kept = {
    field: [gene[:1] if number % 2 else gene[-2:] for number, gene in enumerate(genes)]
    for field, genes in SPACE.choices.items()
  }
  part = SPACE.part(kept)
  part.check()
  assert part.choices == kept
  assert codec.decode(ChainSpace, json.loads(json.dumps(codec.encode(part)))) == part
  # The supernet of a part is that of the whole.
  assert part.positions == SPACE.positions
  for arch in [*part.sample(0, count=20), part.largest, part.smallest]:
    assert part.from_json(arch.to_json()) == arch
    for field, genes in kept.items():
      for number, gene in zip(getattr(arch, field).ravel(), genes, strict=True):
        assert number in gene
  with pytest.raises(UserError, match=r"is not in the space"):
    part.from_json(SPACE.smallest.to_json())
  assert part.part(SPACE.choices).choices == SPACE.choices


@pytest.mark.parametrize(
  ("only", "words"),
  [(((3,),), "names 1 genes; the space has 32"), (((7,),) * 32, r"only\[0\]=\[7\]")],
)
def test_a_part_that_is_none_is_refused(only, words):
  with pytest.raises(UserError, match=words):
    dataclasses.replace(SPACE, only=only).check()


@pytest.mark.parametrize(
  ("change", "words"),
  [
    ({"windows": (4,)}, r"space\.windows=\[4\] must be odd"),
    ({"rates": (3,)}, r"space\.rates=\[3\] must be powers of two"),
    ({"bits": (9,)}, r"space\.bits=\[9\]"),
    ({"operations": ("plane",)}, r"space\.operations=\['plane'\]"),
    ({"width_step": 64, "rates": (1,)}, "leaves no width for block 0"),
    ({"windows": ()}, r"space\.windows must name at least one"),
    ({"stage_strides": (1,)}, r"space\.stage_strides=\[1\]"),
  ],
)
def test_a_space_that_cannot_be_says_which_field(change, words):
  with pytest.raises(UserError, match=words):
    dataclasses.replace(SPACE, **change).check()


def test_a_space_and_a_network_of_it_survive_the_configuration():
  config = SPACE.network(SPACE.sample(0, count=1)[0])
  assert codec.decode(models.ModelConfig, codec.encode(config)) == config
  assert codec.decode(ChainSpace, codec.encode(SPACE)) == SPACE


@pytest.mark.slow
def test_what_is_left_out_hands_its_input_on():
  """Identity where nothing changes; channels are cut, never invented; never nothing."""
  x = jax.random.normal(jax.random.key(0), (2, 8, 8, 12))
  np.testing.assert_array_equal(block_module.bypass(x, 12, 1), x)
  np.testing.assert_array_equal(block_module.bypass(x, 40, 1), x)
  np.testing.assert_array_equal(block_module.bypass(x, 5, 1), x[..., :5])
  pooled = block_module.bypass(x, 12, 2)
  np.testing.assert_allclose(pooled[0, 1, 2], x[0, 2:4, 4:6].mean((0, 1)), atol=1e-6)
  for arch in SPACE.sample(5, count=50):
    assert min(SPACE.inputs(arch)) >= SPACE.stem


def test_a_network_of_bypasses_alone_is_its_ends():
  network = SPACE.network(SPACE.smallest)
  listing = inventory.take(models.create(network, 3), (8, 8, 1))
  assert [use.path for use in listing.kernels] == [
    "stem/kernel",
    "head/kernel",
    "classifier/kernel",
  ]


@pytest.mark.parametrize(
  ("block", "words"),
  [
    (ChainBlock(8, 8, window=2), "window=2 must be odd"),
    (ChainBlock(8, 8, stride=2, shortcut=True), "needs stride 1"),
    (ChainBlock(8, 8, operation="x"), "operation='x'"),
    (ChainBlock(0, 8), "must have channels"),
  ],
)
def test_a_block_that_cannot_be_is_named(block, words):
  with pytest.raises(UserError, match=rf"model\.blocks\[0\].*{words}"):
    models.create(ChainConfig(blocks=(block,)), 3)
