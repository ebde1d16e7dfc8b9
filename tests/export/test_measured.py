"""Kernels are folded where the runtime is faster so."""

import math
import time

import jax
import numpy as np
import pytest

from neural_epitome.epitome.generators import EpitomeRule, HashedRule
from neural_epitome.export import measured, program, stablehlo
from tests.export import networks

pytestmark = pytest.mark.slow


def runtime(seconds_a_flop):
  """One whose speed is known: a call takes as long as the work of its layer says."""

  def compile_layer(layer, shape):
    lowered = jax.jit(layer).lower(jax.ShapeDtypeStruct(shape, np.float32))
    seconds = seconds_a_flop(lowered.compile().cost_analysis()["flops"])
    return lambda x: time.sleep(seconds)

  return compile_layer


@pytest.mark.parametrize("fast_where", ["few", "many"])
def test_a_kernel_is_folded_where_that_is_faster(fast_where):
  network = networks.shipped(rule=EpitomeRule(routing="tile"), rate=4.0)
  few = runtime(lambda flops: 2e-4 * math.log2(flops))
  many = runtime(lambda flops: 5e-3 - 2e-4 * math.log2(flops))
  decoded = measured.faster_decoded(
    network, {"few": few, "many": many}[fast_where], quiet=True
  )
  assert decoded == (() if fast_where == "few" else network.plan.compressed)


def test_kernels_that_do_not_fold_are_decoded():
  network = networks.shipped(rule=HashedRule())
  decoded = measured.faster_decoded(network, stablehlo.compiled, quiet=True)
  assert decoded == network.plan.compressed
  run, batch = program.run_as(network, "fold", decoded), networks.images(network)
  np.testing.assert_allclose(
    networks.logits(run, batch), networks.logits(network, batch), atol=1e-4
  )
