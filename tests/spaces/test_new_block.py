"""A new kind of block is one declaration: all else that there is of blocks follows."""

import dataclasses
import json
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_epitome import codec, models
from neural_epitome.cost import inventory, totals
from neural_epitome.errors import UserError
from neural_epitome.models.block import Block, BlockConfig, BlockShape, channel_group
from neural_epitome.models.blocks import Basic, Bottleneck, Branch
from neural_epitome.models.layer_specs import Channels, ConvSpec
from neural_epitome.spaces import SupernetConfig, chain_generators, slicing
from neural_epitome.spaces.chain_space import ChainSpace
from neural_epitome.spaces.cost_model import Prices

CLASSES = 3
IMAGES = jax.random.normal(jax.random.key(0), (4, 8, 8, 1))


@dataclasses.dataclass(frozen=True)
class Strips(BlockConfig):
  """A row, a depthwise column and a projection, around a shortcut."""

  kind: ClassVar[str] = "strips_of_a_test"

  def declare(self, shape: BlockShape) -> Block:
    inputs = Channels("inputs", shape.inputs)
    hidden = Channels("hidden", shape.hidden, shrinks=True)
    features = Channels("features", shape.features)
    size, stride = shape.kernel_size, shape.stride
    row = ConvSpec(
      *("row", inputs, hidden, (1, size), (1, stride)),
      norm="row_norm",
      activation="silu",
      kernel_shrinks=True,
    )
    column = ConvSpec(
      *("column", hidden, hidden, (size, 1), (stride, 1)),
      feature_group_count=shape.hidden,
      norm="column_norm",
      activation="relu",
      kernel_shrinks=True,
    )
    project = ConvSpec("project", hidden, features, use_bias=True)
    way = ConvSpec("way", inputs, features, strides=stride, norm="way_norm")
    shortcut = "identity" if shape.adds_input else way
    return Block(inputs, features, (row, column, project), stride, shortcut, "relu6")


KINDS = [Strips(), Basic(), Bottleneck(), Branch("factored"), Branch("dense", count=2)]


def space(kind):
  return ChainSpace(
    stages=((2, 8, 2), (2, 16, 1)),
    stage_strides=(1, 2),
    stem=4,
    stem_stride=1,
    head=16,
    image_size=8,
    width_step=8,
    windows=(3, 5),
    operations=("plain", "squeeze_excite"),
    rates=(1, 2),
    bits=(32, 4),
    block=kind,
  )


def archs(of):
  """One choice whose first block hands on fewer channels, and a drawn one."""
  [arch] = of.sample(0, count=1)
  return [of.canonical(dataclasses.replace(arch, width=np.array([0, 8, 16]))), arch]


def plain(of, arch):
  network = of.network(arch)
  listing = inventory.take(models.create(network, CLASSES), (8, 8, 1))
  plan = chain_generators.of_choice(of, arch, CLASSES).plan(listing)
  return models.create(network, CLASSES, plan=plan)


def test_a_space_of_it_survives_the_configuration():
  config = space(Strips())
  data = json.loads(json.dumps(codec.encode(config)))
  assert data["block"] == {"kind": "strips_of_a_test"}
  assert codec.decode(ChainSpace, data) == config
  # Files from before there were kinds of blocks have inverted residuals.
  del data["block"]
  assert codec.decode(ChainSpace, data).block == ChainSpace().block


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_its_price_is_that_of_its_network(kind):
  of = space(kind)
  prices = Prices(of, CLASSES, channels=1)
  for arch in [*archs(of), of.largest]:
    listing = inventory.take(models.create(of.network(arch), CLASSES), (8, 8, 1))
    plan = chain_generators.of_choice(of, arch, CLASSES).plan(listing)
    expected = totals.price(plan, listing, "fold")
    price = prices.of(arch)
    assert price["madds"] == expected.madds
    assert price["parameters"] == expected.stored_params
    assert price["bytes"] == expected.stored_bytes


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Strips(), Bottleneck()], ids=repr)
def test_masked_equals_sliced(kind):
  of = space(kind)
  of.check()
  supernet = models.create(SupernetConfig(space=of), CLASSES)
  variables = jax.jit(supernet.init)(jax.random.key(1), IMAGES)
  variables = jax.tree.map(
    lambda leaf: leaf + 0.3 * jnp.cos(jnp.arange(leaf.size)).reshape(leaf.shape),
    variables,
  )
  evaluated = jax.jit(supernet.apply)
  for arch in archs(of):
    masked = evaluated(slicing.with_choice(variables, of, arch), IMAGES)
    sliced = slicing.slice_variables(variables, of, arch)
    small = plain(of, arch)
    shapes = jax.eval_shape(small.init, jax.random.key(0), IMAGES)
    assert jax.tree.map(np.shape, sliced) == jax.tree.map(np.shape, dict(shapes))
    logits = jax.jit(small.apply)(sliced, IMAGES)
    np.testing.assert_allclose(masked, logits, atol=1e-4, rtol=1e-4)


def test_what_pruning_may_leave_out_is_its_hidden_channels():
  block = Strips().declare(BlockShape(8, 16, 8))
  group = channel_group("a", "block_0/", block)
  assert group.members == {
    "block_0/row/kernel": -1,
    "block_0/column/kernel": -1,
    "block_0/project/kernel": -2,
  }
  assert group.norms == ("block_0/row_norm", "block_0/column_norm")
  assert (group.consumer, group.consumer_norm) == ("block_0/project/kernel", None)
  with pytest.raises(UserError, match="conv_2 both reads and makes"):
    channel_group("a", "", Bottleneck().declare(BlockShape(8, 16, 8)))


@pytest.mark.parametrize(
  ("kind", "words"),
  [
    (Branch(feature_group_counts=(2, 1)), "expand has 2 groups"),
    (models.blocks.InvertedResidual(depth_multiplier=2), "no channels that shrink"),
  ],
)
def test_a_kind_without_narrower_forms_is_refused(kind, words):
  with pytest.raises(UserError, match=rf"space\.block.*{words}"):
    space(kind).check()
