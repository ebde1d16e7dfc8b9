"""Inputs and singular values that are removed together, step by step."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

import neural_epitome as ne
from neural_epitome.compression import (
  choices,
  collaborative_choices,
  hull,
  kernel_error,
  low_rank_factors,
)
from neural_epitome.compression.storage import COMPACT
from neural_epitome.epitome import rounding
from neural_epitome.epitome.generators import LowRank
from neural_epitome.errors import UserError


def kernel_of(taps, rank, silent, outputs=24, inputs=16, seed=0):
  """A kernel (*taps, inputs, outputs) of a rank, whose `silent` inputs are weak."""
  random = np.random.default_rng(seed)
  left = random.normal(size=(*taps, inputs, rank))
  left[..., list(silent), :] *= 1e-3
  kernel = left @ random.normal(size=(rank, outputs))
  return kernel.astype(np.float32)


def compared(kernel):
  return list(
    collaborative_choices.compare(
      kernel, slice(0, kernel.shape[-1]), kernel_error.error_of(kernel), COMPACT
    )
  )


@pytest.mark.parametrize("taps", [(), (3,), (3, 3)])
def test_what_is_worth_nothing_goes_first_be_it_an_input_or_a_singular_value(taps):
  silent = (1, 6, 7, 11)
  kernel = kernel_of(taps, 5, silent)
  found = [generator for generator, _ in collaborative_choices.removals(kernel)]
  # All that does not count is gone before the first that does.
  assert all(set(one.without) <= set(silent) for one in found if one.rank >= 5)
  assert all(set(one.without) >= set(silent) for one in found if one.rank < 5)
  assert {one.rank >= 5 for one in found} == {False, True}


def test_every_step_leaves_fewer_numbers_and_more_error():
  kernel = np.random.default_rng(0).normal(size=(3, 3, 12, 20)).astype(np.float32)
  found = list(collaborative_choices.removals(kernel))
  sizes = [generator.stored(kernel.shape) for generator, _ in found]
  assert all(b <= 2**-0.25 * a for a, b in itertools.pairwise(sizes))
  errors = []
  for generator, directions in found:
    left, right = low_rank_factors.factors(kernel, generator, directions)
    made = low_rank_factors.product(left, right, generator, kernel.shape)
    errors.append(kernel_error.error(kernel, made))
    generator.check(kernel.shape)
  assert errors[0] < 1e-9
  assert errors[1:] == sorted(errors[1:])
  # Of noise, neither alone is best to remove.
  last = found[-2][0]
  assert last.without
  assert last.rank < 12


def test_a_step_removes_what_is_worth_least_of_what_remains():
  # The input 0 is worth much, but only in the singular value 2, which goes first: then
  # the input is worth least.
  energies = np.array([[0.1, 0.1, 3.0], [4.0, 4.0, 0.05], [4.0, 4.0, 0.05]])
  kept, rank = collaborative_choices.remaining(energies, 4, 1, left=0.5)
  np.testing.assert_array_equal(kept, [1, 2])
  assert rank == 2
  # Nothing remains of the last unit.
  kept, rank = collaborative_choices.remaining(np.ones((1, 1)), 4, 1)
  assert (len(kept), rank) == (0, 0)


@pytest.mark.parametrize("shape", [(40, 24), (3, 3, 8, 24), (24, 60)])
def test_storing_it_has_the_bytes_that_comparing_said_and_hardly_more_error(shape):
  kernel = kernel_of(shape[:-2], 3, (0, 2), shape[-1], shape[-2])
  kernel += 0.2 * np.random.default_rng(1).normal(size=shape).astype(np.float32)
  found = hull.lower(compared(kernel))
  assert len(found) > 2
  assert any(one.generator.without for one in found)
  for choice in found:
    stored = choices.store(kernel, choice)
    tensors = rounding.rounded(
      {role: jnp.asarray(array) for role, array in stored.tensors.items()},
      dict.fromkeys(stored.tensors, choice.bits),
    )
    made = np.asarray(choice.generator.generate(tensors, {}, kernel.shape))
    error = kernel_error.error(kernel, made)
    assert error == pytest.approx(stored.choice.error, rel=1e-3)
    assert error <= 1.02 * choice.error
    assert stored.choice.nbytes == choice.nbytes


def test_what_has_no_rank_has_no_choice():
  for kernel in (np.zeros((16, 24), np.float32), np.ones((1, 40), np.float32)):
    assert not compared(kernel)


def test_a_tree_is_stored_so_in_its_budget_and_comes_back(tmp_path):
  tree = {
    "a": {"kernel": kernel_of((3, 3), 4, (0, 5, 6), 48, 24)},
    "b": {"kernel": kernel_of((), 20, range(24), 64, 64, seed=1)},
  }
  small = ne.compress(tree, "12x", rule="collaborative", quiet=True)
  generators = [kernel.generator for kernel in small.plan.kernels.values()]
  assert all(isinstance(generator, LowRank) for generator in generators)
  assert len(generators[1].without) > 15
  assert set(generators[1].without) <= set(range(24))
  assert max(small.errors.values()) < 0.05
  path = tmp_path / "small.safetensors"
  small.save(path)
  whole = sum(4 * leaf["kernel"].size for leaf in tree.values())
  assert path.stat().st_size == small.totals.stored_bytes <= whole / 12
  loaded = ne.load_compressed(path)
  expanded = loaded.expand(loaded.compact)
  for name, error in small.errors.items():
    made = np.asarray(expanded[name[0]]["kernel"])
    exact = kernel_error.error(tree[name[0]]["kernel"], made) ** 0.5
    assert exact == pytest.approx(error, rel=0.01)


def test_other_rules_are_refused_by_name():
  tree = {"a": {"kernel": np.ones((8, 8), np.float32)}}
  with pytest.raises(UserError, match="rule='collab' must be 'best', 'collaborative'"):
    ne.compress(tree, "8x", rule="collab")
