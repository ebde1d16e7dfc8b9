"""Low rank: the rank, and the cost of two layers for one."""

import jax
import numpy as np
from flax import linen as nn

from neural_epitome.epitome.generators import LowRank
from neural_epitome.epitome.geometry import KernelUse


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
