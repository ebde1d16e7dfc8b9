"""Quantised kernels: the grid, the gradient, the bytes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural_epitome.cost import inventory, totals
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome import rounding
from neural_epitome.epitome.generators import Dense, Epitome, QuantisedRule
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.epitome.layers import EpitomeConv
from neural_epitome.errors import UserError
from neural_epitome.planning import RatePlanner

KERNEL = jax.random.normal(jax.random.key(0), (3, 3, 4, 6))
USE = KernelUse("a/kernel", KERNEL.shape)
INVENTORY = inventory.Inventory((USE,), {})


@given(st.integers(2, 8), st.integers(0, 100))
def test_each_channel_is_integers_times_its_scale_nearest_to_the_kernel(bits, seed):
  kernel = jax.random.normal(jax.random.key(seed), (3, 4, 6)) * 0.1
  kernel = kernel.at[..., 0].set(0.0)
  rounded = np.asarray(rounding.straight_through(kernel, bits))
  most = 2 ** (bits - 1) - 1
  scale = np.abs(np.asarray(kernel)).max(axis=(0, 1)) / most
  assert np.all(rounded[..., 0] == 0)
  integers = rounded[..., 1:] / scale[1:]
  np.testing.assert_allclose(integers, np.round(integers), atol=1e-2)
  assert np.abs(integers).max() < most + 0.5
  assert np.all(np.abs(rounded - kernel) <= 0.501 * scale)


def test_the_gradient_passes_straight_through():
  cotangent = jax.random.normal(jax.random.key(1), KERNEL.shape)

  def weighted(kernel):
    return jnp.sum(rounding.straight_through(kernel, 4) * cotangent)

  np.testing.assert_array_equal(jax.grad(weighted)(KERNEL), cotangent)


@pytest.mark.parametrize(
  ("bits", "expected"), [(8, 216 + 24), (4, 108 + 24), (1, 27 + 24)]
)
def test_the_rule_stores_integers_and_a_factor_an_output_channel(bits, expected):
  rule = QuantisedRule(bits)
  plan = RatePlanner(rule=rule, keep_first=False).plan(INVENTORY)
  assert plan.kernels["a/kernel"].generator == Dense()
  price = totals.price(plan, INVENTORY)
  assert price.stored_bytes == expected
  assert price.stored_params == rule.smallest(USE) == 216 + 6


@pytest.mark.slow
def test_an_epitome_is_rounded_and_not_the_kernel_made_of_it():
  epitome = Epitome((3, 3, 4, 3), "tile", scaled=True)
  plan = plans.make([USE], {"a/kernel": epitome}).narrowed({"a/kernel": 4})
  x = jax.random.normal(jax.random.key(0), (2, 7, 7, 4))
  layer = EpitomeConv(
    features=6, kernel_size=(3, 3), generator=epitome, bits=4, use_bias=False
  )
  variables = layer.init(jax.random.key(1), x)
  tensors = variables["params"]
  read = tensors | {"epitome": rounding.straight_through(tensors["epitome"], 4)}
  whole = layer.clone(bits=32)
  np.testing.assert_allclose(
    layer.apply(variables, x), whole.apply({"params": read}, x), atol=1e-5
  )
  folded = layer.clone(execution="fold").apply(variables, x)
  np.testing.assert_allclose(folded, layer.apply(variables, x), atol=1e-5)
  # 108 numbers of four bits; three factors and two block scales of 32.
  price = totals.price(plan, INVENTORY)
  assert price.stored_bytes == 54 + 4 * 3 + 4 * 2
  assert price.stored_params == 108 + 3 + 2


def test_a_rule_of_other_bits_is_refused():
  with pytest.raises(UserError, match="bits=0 must be 32 or 16"):
    QuantisedRule(0)
