"""Statistics of a compressed network are those of what its layers then see."""

import jax
import numpy as np
import pytest
from flax import linen as nn

import neural_epitome as ne

EXAMPLES = np.random.default_rng(0).normal(1.0, 2.0, (96, 24)).astype(np.float32)


class Network(nn.Module):
  """Statistics of the inputs, and of what a compressed layer makes of them."""

  momentum: float = 0.9

  @nn.compact
  def __call__(self, x, train=False):
    for features in (32, 8):
      norm = nn.BatchNorm(use_running_average=not train, momentum=self.momentum)
      x = norm(nn.Dense(features)(x))
    return x


def train(tree, x, momentum=0.9):
  moved = Network(momentum).apply(tree, x, train=True, mutable=["batch_stats"])[1]
  return {**tree, **moved}


@pytest.fixture(scope="module")
def small():
  tree = Network().init(jax.random.key(0), EXAMPLES)
  return ne.compress(tree, "1.6kB", rule="best", quiet=True)


@pytest.mark.slow
@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_they_are_those_of_the_layers_outputs_whatever_the_momentum(momentum, small):
  after = ne.remeasure_statistics(
    small,
    lambda tree, x: train(tree, x, momentum),
    EXAMPLES,
    batch=96,
    quiet=True,
  )
  assert not np.array_equal(
    after.compact["batch_stats/BatchNorm_1/var"],
    small.compact["batch_stats/BatchNorm_1/var"],
  )
  tree = after.expand(after.compact)
  layer = tree["params"]["Dense_0"]
  outputs = EXAMPLES @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])
  statistics = tree["batch_stats"]["BatchNorm_0"]
  # They are stored in float16.
  np.testing.assert_allclose(statistics["mean"], outputs.mean(0), rtol=2e-2, atol=2e-3)
  np.testing.assert_allclose(statistics["var"], outputs.var(0), rtol=2e-2)
  kernels = [name for name in small.compact if name.startswith("params/")]
  for name in kernels:
    np.testing.assert_array_equal(after.compact[name], small.compact[name])


@pytest.mark.slow
def test_what_does_not_move_or_is_not_there_is_said(small):
  with pytest.raises(ne.UserError, match="does not move the statistics"):
    ne.remeasure_statistics(small, lambda tree, x: tree, EXAMPLES, quiet=True)
  with pytest.raises(ne.UserError, match="no stored array is named like"):
    ne.remeasure_statistics(small, train, EXAMPLES, statistics=("nothing",), quiet=True)
  with pytest.raises(ne.UserError, match="are not finite on these examples"):
    ne.remeasure_statistics(small, train, EXAMPLES * np.nan, quiet=True)
