"""Channels that share: where they are read, folded and rounded."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from neural_epitome.epitome import routing
from neural_epitome.epitome.generators import (
  ChannelEpitome,
  ChannelEpitomeRule,
  Dense,
  Epitome,
)
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.epitome.layers import EpitomeConv
from neural_epitome.errors import UserError

SHAPE = (3, 3, 8, 12)
RANDOM = routing.IndexOptions(source="fixed", start="random")


def tensors(generator):
  random = np.random.default_rng(0)
  shapes = generator.tensors(SHAPE)
  return {
    role: jnp.asarray(random.normal(size=size), jnp.float32)
    for role, size in shapes.items()
  }


@pytest.mark.parametrize(("axis", "cells"), [("input", 3), ("output", 5)])
def test_every_channel_is_a_cell_times_its_factor(axis, cells):
  generator = ChannelEpitome(cells, axis)
  place, channels = {"input": (2, 8), "output": (3, 12)}[axis]
  offset = np.random.default_rng(1).integers(0, cells, channels).astype(np.float32)
  own = tensors(generator)
  for known in (offset, jnp.asarray(offset)):
    kernel = np.moveaxis(generator.generate(own, {axis: known}, SHAPE), place, 0)
    for n in range(channels):
      cell = np.take(np.asarray(own["epitome"]), (n + int(offset[n])) % cells, place)
      np.testing.assert_allclose(kernel[n], own["scale"][n] * cell, rtol=1e-5)


def test_without_offsets_and_factors_it_is_a_tile_and_between_cells_it_blends():
  generator, own = ChannelEpitome(5), tensors(ChannelEpitome(5))
  own["scale"] = jnp.ones(12)
  tile = Epitome((3, 3, 8, 5), "tile").generate({"epitome": own["epitome"]}, {}, SHAPE)
  zeros = jnp.zeros(12)
  np.testing.assert_allclose(
    generator.generate(own, {"output": zeros}, SHAPE), tile, rtol=1e-6
  )
  ahead = generator.generate(own, {"output": zeros + 1.0}, SHAPE)
  between = generator.generate(own, {"output": zeros + 0.25}, SHAPE)
  np.testing.assert_allclose(between, 0.75 * tile + 0.25 * ahead, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("axis", ["input", "output"])
def test_a_layer_folds_to_what_it_is_materialised_and_trains(axis):
  x = jax.random.normal(jax.random.key(0), (2, 7, 7, 8))
  generator = ChannelEpitome(3, axis)
  layer = EpitomeConv(
    features=12, kernel_size=(3, 3), strides=2, generator=generator, indices=RANDOM
  )
  variables = layer.init(jax.random.key(1), x)

  def loss(params, execution):
    held = {"params": params, "routing": variables["routing"]}
    y = layer.clone(execution=execution).apply(held, x)
    return jnp.sum(jnp.sin(y)), y

  run = jax.jit(jax.value_and_grad(loss, has_aux=True), static_argnums=1)
  (_, built), gradients = run(variables["params"], "materialise")
  (_, folded), others = run(variables["params"], "fold")
  np.testing.assert_allclose(folded, built, atol=1e-5)
  jax.tree.map(
    lambda one, two: np.testing.assert_allclose(one, two, atol=1e-4), others, gradients
  )
  assert all(jnp.any(leaf != 0) for leaf in jax.tree.leaves(gradients))


def test_folding_is_priced_by_the_cells_and_only_where_it_can_be_done():
  use = KernelUse("a/kernel", SHAPE, 1, (1, 1), (6, 6), (6, 6))
  assert ChannelEpitome(4).cost(use, folded=True).madds == (3 * 3 * 8 * 4 + 12) * 36
  assert ChannelEpitome(4, "input").cost(use, folded=True).madds == use.madds
  assert ChannelEpitome(4).stored(SHAPE) == 3 * 3 * 8 * 4 + 2 * 12


@pytest.mark.slow
def test_it_starts_with_the_variance_of_the_initializer():
  shape, initializer = (3, 3, 64, 48), nn.initializers.he_normal()
  generator = ChannelEpitome(16)
  own = generator.init(jax.random.key(0), shape, {}, initializer)
  kernel = generator.generate(own, {"output": jnp.zeros(48)}, shape)
  expected = jnp.std(initializer(jax.random.key(1), shape))
  np.testing.assert_allclose(jnp.std(kernel), expected, rtol=0.05)


def test_the_rule_shares_the_wide_side_and_refuses_what_is_too_small():
  rule = ChannelEpitomeRule()
  narrow, wide = KernelUse("a/kernel", (1, 1, 96, 16)), KernelUse("a/kernel", SHAPE)
  assert rule.at(narrow, 800) == ChannelEpitome(38, "input")
  assert rule.at(wide, 400) == ChannelEpitome(5, "output")
  assert rule.at(wide, wide.size) == Dense()
  with pytest.raises(UserError, match="take 96 at least"):
    rule.at(wide, 50)
  for cells in (0, 13):
    with pytest.raises(UserError, match=r"\[1, 12\]"):
      ChannelEpitome(cells).check(SHAPE)
