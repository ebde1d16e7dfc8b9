"""A choice is in its space, whichever way it was made."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_epitome.errors import UserError
from neural_epitome.models.chain import OPERATIONS
from neural_epitome.spaces import chain_generators
from neural_epitome.spaces.arch import Arch
from tests.spaces.tiny import PLAIN, SPACE


def test_a_drawn_choice_survives_json_and_hashing():
  archs = SPACE.sample(0, count=20)
  assert len(set(archs)) > 15
  for arch in archs:
    again = SPACE.from_json(json.loads(json.dumps(arch.to_json())))
    assert again == arch
    assert hash(again) == hash(arch)


def test_the_same_numbers_draw_the_same_choices():
  assert SPACE.sample(3, 1, count=4) == SPACE.sample(3, 1, count=4)
  assert SPACE.sample(3, 1, count=4) != SPACE.sample(3, 2, count=4)


@pytest.mark.slow
def test_choices_are_a_tree_of_arrays_that_stacks():
  many = jax.tree.map(lambda *leaves: jnp.stack(leaves), *SPACE.sample(0, count=3))
  assert many.width.shape == (3, 4)
  assert many.rate.shape == (3, 5, 2)


def test_genes_of_a_block_that_is_left_out_do_not_tell_choices_apart():
  [arch] = SPACE.sample(0, count=1)
  width = arch.width.copy()
  width[1] = 0
  window = arch.window.copy()
  window[1] = 5
  one = SPACE.canonical(dataclasses.replace(arch, width=width))
  assert one == SPACE.canonical(dataclasses.replace(arch, width=width, window=window))


def test_a_smaller_choice_has_one_gene_one_step_further():
  operations = [
    OPERATIONS[int(a.operation[2])] for a in (SPACE.largest, SPACE.smallest)
  ]
  assert operations == ["squeeze_excite", "plain"]
  for other in SPACE.smaller(SPACE.largest, 2):
    assert SPACE.from_json(other.to_json()) == other
    flat, base = (
      np.concatenate([*map(np.asarray, a.key)]) for a in (other, SPACE.largest)
    )
    assert np.sum(flat != base) == 1
  assert len(SPACE.smaller(SPACE.largest, 2)) == 7
  assert not SPACE.smaller(SPACE.smallest, 2)
  # After the blocks, head and classifier, which have rates and bits alone.
  for other in SPACE.smaller(SPACE.largest, SPACE.places - 1):
    assert SPACE.network(other) == SPACE.network(SPACE.largest)
    planner = chain_generators.of_choice(SPACE, other, 3)
    assert len(planner.generators) + len(planner.bits) == 1
  assert len(SPACE.smaller(SPACE.largest, SPACE.places - 1)) == 4
  assert PLAIN.places == len(PLAIN.positions)


@pytest.mark.parametrize(
  ("change", "words"),
  [
    ({"width": [8, 8, 8, 9]}, r"width\[3\]=9 is not in the space; there it is one of"),
    ({"window": [3, 3, 3]}, r"window must be whole numbers of shape \[4\]"),
    ({"rate": "much"}, "rate must be whole numbers"),
    ({"depth": [1]}, "must have the fields window, width"),
  ],
)
def test_an_architecture_of_another_space_is_refused(change, words):
  with pytest.raises(UserError, match=words) as caught:
    SPACE.from_json(SPACE.smallest.to_json() | change)
  assert "\n" not in str(caught.value)


def test_the_largest_and_the_smallest_are_the_ends():
  assert SPACE.network(SPACE.largest).blocks[1].hidden == 32
  assert not SPACE.network(SPACE.smallest).blocks[1].hidden
  fixed = dataclasses.replace(SPACE, bypass=False)
  assert fixed.network(fixed.smallest).blocks[1].hidden == 8


def test_genes_can_be_mixed_field_by_field():
  one, other = SPACE.sample(1, count=2)
  mixed = SPACE.canonical(
    Arch(one.window, other.width, *[one.operation], one.rate, one.bits)
  )
  assert mixed.width.tolist() == other.width.tolist()
