"""Low rank: the rank, and the cost of two layers for one."""

import jax
import numpy as np
import pytest
from flax import linen as nn

from neural_epitome.epitome.generators import LowRank
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.errors import UserError


def test_the_kernel_has_the_rank():
  shape = (3, 3, 6, 20)
  tensors = LowRank(4).init(jax.random.key(0), shape, {}, nn.initializers.he_normal())
  kernel = LowRank(4).generate(tensors, {}, shape)
  assert np.linalg.matrix_rank(np.asarray(kernel).reshape(54, 20)) == 4


def test_folded_it_costs_a_convolution_of_rank_outputs_and_a_1x1():
  use = KernelUse("a/kernel", (3, 3, 16, 32), 1, (2, 2), (8, 8), (4, 4))
  assert LowRank(5).cost(use, folded=True).madds == 16 * (9 * 16 * 5 + 5 * 32)
  assert LowRank(5).cost(use).madds == use.madds
  assert LowRank(5).cost(use).stored == 9 * 16 * 5 + 5 * 32


def test_inputs_that_are_left_out_have_no_weights_and_the_rest_is_nearest():
  kernel = np.random.default_rng(0).normal(size=(3, 3, 6, 20)).astype(np.float32)
  generator = LowRank(5, without=(0, 4))
  tensors = generator.fit(kernel, np.ones(6, np.float32))
  assert {role: t.shape for role, t in tensors.items()} == generator.tensors(
    (3, 3, 6, 20)
  )
  made = np.asarray(generator.generate(tensors, {}, kernel.shape))
  assert not made[..., [0, 4], :].any()
  kept = kernel[..., [1, 2, 3, 5], :].reshape(36, 20)
  tail = np.linalg.svd(kept, compute_uv=False)[5:]
  error = np.sum((made[..., [1, 2, 3, 5], :].reshape(36, 20) - kept) ** 2)
  assert error == pytest.approx(np.sum(tail**2), rel=1e-4)


def test_inputs_that_are_left_out_cost_nothing():
  use = KernelUse("a/kernel", (3, 3, 16, 32), 1, (2, 2), (8, 8), (4, 4))
  cost = LowRank(5, without=(1, 2, 9)).cost(use, folded=True)
  assert cost.madds == 16 * (9 * 13 * 5 + 5 * 32)
  assert cost.stored == 9 * 13 * 5 + 5 * 32


@pytest.mark.parametrize("without", [(3, 1), (1, 1), (6,), (-1,), tuple(range(6))])
def test_inputs_that_cannot_be_left_out_are_named(without):
  with pytest.raises(UserError, match=r"^LowRank\(without=\["):
    LowRank(1, without).check((3, 3, 6, 20))
