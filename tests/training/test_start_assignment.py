"""Windows find where their kernels are wanted, and no file grows by it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import neural_epitome as ne
from neural_epitome.training import start_assignment

PATH = "layer/kernel"


@pytest.fixture(scope="module")
def tree():
  kernel = np.random.default_rng(0).normal(size=(64, 96)).astype(np.float32)
  return {"layer": {"kernel": kernel, "bias": np.zeros(96, np.float32)}}


@pytest.fixture(scope="module")
def small(tree):
  return ne.compress(tree, "2kB", rule="best", quiet=True)


def test_zeros_are_added_and_the_gradient_of_the_kernel_passes(small, tree):
  residual = start_assignment.residuals(small, tree)
  assert set(residual) == {PATH}

  def total(residual):
    added = start_assignment.straight_through(residual)
    made = small.expand(small.compact, added)["layer"]["kernel"]
    return jnp.sum(made**2), made

  gradient, made = jax.grad(total, has_aux=True)(residual)
  expected = small.expand(small.compact)["layer"]["kernel"]
  np.testing.assert_array_equal(made, expected)
  np.testing.assert_allclose(gradient[PATH], 2 * expected, rtol=1e-6)


def test_windows_that_were_moved_are_found_again(small):
  """Of packed starts, which have no price."""
  generator, random = small.plan.kernels[PATH].generator, np.random.default_rng(1)
  before = np.asarray(small.offsets[PATH]["start"])
  others = random.integers(generator.length, size=before.shape)
  moved = np.where(random.random(before.shape) < 0.02, others, before)
  there = _packed(small).with_starts({PATH: moved.astype(np.int32)})
  residual = _kernel(there) - _kernel(small)
  found, lacking = start_assignment.assigned(_packed(small), {PATH: residual}, {})
  assert np.sum(lacking[PATH] ** 2) < 0.25 * np.sum(residual**2)
  np.testing.assert_allclose(
    _kernel(found) + lacking[PATH], _kernel(there), rtol=1e-5, atol=1e-5
  )


def test_fewer_bytes_are_kept_to_and_cost_accuracy(small, tree):
  residual = start_assignment.residuals(small, tree)
  kernel, errors = tree["layer"]["kernel"], []
  whole = start_assignment.coded_bytes(small)[PATH]
  for limit in (whole, int(0.9 * whole), int(0.8 * whole)):
    moved, _ = start_assignment.assigned(small, residual, {PATH: limit})
    assert start_assignment.coded_bytes(moved)[PATH] <= limit
    assert moved.totals.stored_bytes <= small.totals.stored_bytes - (whole - limit)
    errors.append(float(np.mean((_kernel(moved) - kernel) ** 2)))
  assert errors == sorted(errors)
  assert errors[0] < errors[-1]


def test_what_cannot_be_kept_to_leaves_windows_where_they_are(small, tree):
  residual = start_assignment.residuals(small, tree)
  moved, lacking = start_assignment.assigned(small, residual, {PATH: 10})
  np.testing.assert_array_equal(lacking[PATH], residual[PATH])
  np.testing.assert_array_equal(
    moved.offsets[PATH]["start"], small.offsets[PATH]["start"]
  )


def _kernel(small):
  return np.asarray(small.expand(small.compact)["layer"]["kernel"])


def _packed(small):
  kernel = small.plan.kernels[PATH]
  generator = dataclasses.replace(kernel.generator, coded_bytes=None)
  kernels = {PATH: dataclasses.replace(kernel, generator=generator)}
  return dataclasses.replace(
    small, plan=dataclasses.replace(small.plan, kernels=kernels)
  )
