"""A program answers as the network it was made of, with less left in it."""

import dataclasses

import jax
import numpy as np
import pytest

from neural_epitome import models
from neural_epitome.epitome import flat_variables
from neural_epitome.epitome.generators import (
  EpitomeRule,
  HashedRule,
  LowRankRule,
  SharedEpitomeRule,
)
from neural_epitome.export import graph, program
from neural_epitome.models.chain import ChainBlock
from neural_epitome.models.mobilenet_v2 import MBCONV
from tests.export import networks
from tests.training import tiny

pytestmark = pytest.mark.slow

BACKBONES = {
  "mobilenet_v2": dataclasses.replace(
    MBCONV,
    stages=((2, 16, 1), (2, 16, 1)),
    stage_strides=(1, 2),
    stem=16,
    head=32,
  ),
  "efficientnet": models.EfficientNetConfig(width=0.25, depth=0.1),
  "resnet": models.ResNetConfig(depth=8),
  # One block is left out, another one reads fewer channels than it makes.
  "chain": models.ChainConfig(
    blocks=(
      ChainBlock(16, 32, stride=2, shortcut=False),
      ChainBlock(24, 0, shortcut=False),
      ChainBlock(24, 32, shortcut=True),
      ChainBlock(24, 48, shortcut=True),
    ),
    stem=16,
    head=32,
  ),
}


def scales(network):
  return [
    p for p in flat_variables.parameters(network.variables) if p.endswith("/scale")
  ]


@pytest.mark.parametrize(
  ("name", "side", "scaled"),
  [
    *((name, side, False) for name in sorted(BACKBONES) for side in ("wide", "narrow")),
    *((name, "narrow", True) for name in ("chain", "mobilenet_v2")),
  ],
)
def test_every_backbone_answers_the_same_as_a_program(name, side, scaled):
  config = dataclasses.replace(tiny.experiment(), model=BACKBONES[name])
  rule = EpitomeRule(routing="tile", side=side, scaled=scaled)
  network = networks.shipped(config, rule)
  batch = networks.images(network, 2)
  programs = [program.run_as(network, execution) for execution in ("fold", "decode")]
  # One compilation: operation by operation, a network takes longer.
  expected, *answers = jax.jit(
    lambda images: [
      run.model.apply(run.variables, images, train=False)
      for run in (network, *programs)
    ]
  )(batch)
  largest = np.abs(expected).max()
  for logits in answers:
    np.testing.assert_allclose(logits / largest, expected / largest, atol=1e-5)
  assert not scales(programs[1])
  assert all("batch_stats" not in run.variables for run in programs)


def test_between_narrow_tiles_nothing_is_replicated():
  config = dataclasses.replace(tiny.experiment(), model=BACKBONES["mobilenet_v2"])
  spelled = {}
  for side in ("narrow", "wide"):
    network = networks.shipped(config, EpitomeRule(routing="tile", side=side))
    run = program.logits(program.run_as(network, "fold"))
    spelled[side] = str(jax.make_jaxpr(run)(networks.images(network, 2)))
  assert "concatenate" in spelled["wide"]
  assert "concatenate" not in spelled["narrow"]


@pytest.mark.parametrize(
  ("rule", "left"),
  [
    (EpitomeRule(side="input", routing="tile"), 0),
    (EpitomeRule(side="output", routing="tile"), 1),
    (LowRankRule(), 0),
    (HashedRule(), 1),
    (SharedEpitomeRule(), 1),
  ],
)
def test_a_batch_norm_keeps_the_scale_that_the_layer_before_cannot_take(rule, left):
  network = networks.shipped(rule=rule)
  run, batch = program.run_as(network, "fold"), networks.images(network)
  np.testing.assert_allclose(
    networks.logits(run, batch), networks.logits(network, batch), atol=1e-4
  )
  compressed = {graph.find(network)[path].norm for path in network.plan.compressed}
  assert len([s for s in scales(run) if s.removesuffix("/scale") in compressed]) == left


@pytest.mark.parametrize("rule", [EpitomeRule(side="both"), SharedEpitomeRule()])
def test_some_kernels_are_decoded_and_the_others_kept(rule):
  network = networks.shipped(rule=rule)
  first, *others = network.plan.compressed
  run, batch = program.run_as(network, "fold", [first]), networks.images(network)
  assert run.plan.compressed == tuple(others)
  assert first in flat_variables.parameters(run.variables)
  np.testing.assert_allclose(
    networks.logits(run, batch), networks.logits(network, batch), atol=1e-4
  )
