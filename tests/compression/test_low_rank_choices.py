"""A kernel whose singular values fall fast is stored as a low rank, and no other."""

import dataclasses
import itertools
import os

import jax.numpy as jnp
import numpy as np
import pytest

import neural_epitome as ne
from neural_epitome.compression import (
  accuracy,
  best,
  choices,
  hull,
  kernel_error,
  low_rank_choices,
)
from neural_epitome.compression.storage import COMPACT
from neural_epitome.epitome import rounding
from neural_epitome.epitome.generators import LowRank


def falling(*shape, power=1.0, seed=0):
  """A kernel whose singular values are 1, 1 / 2**power, 1 / 3**power ..."""
  random = np.random.default_rng(seed)
  rows, outputs = int(np.prod(shape[:-1])), shape[-1]
  rank = min(rows, outputs)
  left = np.linalg.qr(random.standard_normal((rows, rank)))[0]
  right = np.linalg.qr(random.standard_normal((outputs, rank)))[0]
  kernel = (left / np.arange(1, rank + 1) ** power) @ right.T
  return kernel.reshape(shape).astype(np.float32)


def ranks_of(kernel):
  """Low ranks among the choices that may be the best ones."""
  kept = hull.lower(choices.compare(kernel))
  return [choice for choice in kept if isinstance(choice.generator, LowRank)]


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(192, 128), (3, 3, 24, 48)])
def test_storing_it_has_the_error_and_the_bytes_that_comparing_said(shape):
  kernel = falling(*shape)
  found = ranks_of(kernel)
  assert len(found) > 4
  for choice in found:
    stored = choices.store(kernel, choice)
    tensors = rounding.rounded(
      {role: jnp.asarray(array) for role, array in stored.tensors.items()},
      dict.fromkeys(stored.tensors, choice.bits),
    )
    made = choice.generator.generate(tensors, {}, kernel.shape)
    error = kernel_error.error(kernel, np.asarray(made))
    assert error == pytest.approx(stored.choice.error, rel=1e-3)
    # Outputs are made larger without a bound while choices are compared.
    assert error <= 1.02 * choice.error
    assert stored.choice.nbytes == choice.nbytes


def test_more_rank_or_more_bits_leave_less_error():
  kernel = falling(96, 64)
  table = low_rank_choices.compare(
    kernel, slice(0, 64), kernel_error.error_of(kernel), COMPACT
  )
  errors = {(one.generator.rank, one.bits): one.error for one in table}
  ranks = sorted({rank for rank, _ in errors})
  assert ranks[0] == 1
  for low, high in itertools.pairwise(ranks):
    for bits in (4, 8):
      if (high, bits) in errors:
        assert errors[high, bits] < errors[low, bits]
  assert errors[6, 8] < errors[6, 6] < errors[6, 4]


def test_what_has_no_rank_has_no_choice_of_one():
  for kernel in (np.zeros((16, 24), np.float32), np.ones((1, 40), np.float32)):
    every = low_rank_choices.compare(
      kernel, slice(0, kernel.shape[-1]), kernel_error.error_of(kernel), COMPACT
    )
    assert not list(every)


@pytest.mark.slow
def test_of_a_network_of_such_kernels_it_is_picked_and_lowers_the_error(tmp_path):
  tree = {
    "a": {"kernel": falling(160, 128)},
    "b": {"kernel": falling(3, 3, 24, 64, seed=1)},
    "c": {"kernel": np.random.default_rng(2).normal(size=(96, 64)).astype("f4")},
  }
  every = best.prepare(tree, quiet=True)
  others = {
    path: [one for one in table if not isinstance(one.generator, LowRank)]
    for path, table in every.tables.items()
  }
  rest = dataclasses.replace(every, tables=others)
  for ratio in (14, 20):
    small = every.times_smaller(f"{ratio}x")
    without = rest.times_smaller(f"{ratio}x")
    kinds = {name: k.generator.kind for name, k in small.plan.kernels.items()}
    assert kinds["a/kernel"] == kinds["b/kernel"] == "low_rank"
    assert kinds["c/kernel"] != "low_rank"
    squares = [
      sum(error**2 for error in one.errors.values()) for one in (small, without)
    ]
    assert squares[0] < 0.8 * squares[1]
    # What is written is as large and as near as it says.
    small.save(tmp_path / "small.safetensors")
    assert os.path.getsize(tmp_path / "small.safetensors") <= every.whole / ratio
    loaded = ne.load_compressed(tmp_path / "small.safetensors")
    expanded = loaded.expand(loaded.compact)
    for name in "ab":
      made = np.asarray(expanded[name]["kernel"])
      error = kernel_error.error(tree[name]["kernel"], made) ** 0.5
      assert error == pytest.approx(small.errors[f"{name}/kernel"], rel=0.01)


@pytest.mark.slow
def test_what_its_error_costs_is_measured_as_of_any_choice():
  tree = {"a": {"kernel": falling(96, 64)}, "b": {"kernel": falling(96, 64, seed=1)}}
  choosing = best.prepare(tree, quiet=True)

  def score(made):
    return -float(np.sum(np.square(made["a"]["kernel"] - tree["a"]["kernel"])))

  weights = accuracy.sensitivities(choosing, score, quiet=True)
  assert weights["a/kernel"] > 5 * weights["b/kernel"]
