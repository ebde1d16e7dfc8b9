"""Options of a subset: each is in use once, and what is kept stays."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from neural_epitome.errors import UserError
from neural_epitome.strategies.option_pools import OptionPools, rounds

GENES = [range(7), range(3, 5), range(9)]


def everything(pools):
  return [
    sorted((*active, *pending, *left))
    for active, pending, left in zip(
      pools.active, pools.pending, pools.left, strict=True
    )
  ]


@hypothesis.given(st.data(), st.integers(0, 99), st.integers(1, 5), st.integers(0, 1))
def test_no_option_is_lost_and_none_returns(data, seed, capacity, least):
  pools = OptionPools.start(GENES, np.random.default_rng(seed))
  whole = [list(gene) for gene in GENES]
  assert pools.coverage == 0
  gone = [set() for _ in GENES]
  for _ in range(4):
    before, pools = pools, pools.refill(capacity, least)
    assert everything(pools) == whole
    assert pools.coverage >= before.coverage
    for was, now, queue in zip(
      before.active, pools.active, before.pending, strict=True
    ):
      joined = min(len(queue), max(least, capacity - len(was), 0))
      assert now == (*was, *queue[:joined])
    kept = [
      data.draw(st.lists(st.sampled_from(gene), min_size=1, unique=True))
      for gene in pools.active
    ]
    pools = pools.keep(kept)
    assert [set(gene) for gene in pools.active] == [set(own) for own in kept]
    assert everything(pools) == whole
    for gene, left, lost in zip(pools.active, pools.left, gone, strict=True):
      lost |= set(left)
      assert not lost & set(gene)


def test_queues_are_drawn_for_each_gene_by_itself():
  pools = OptionPools.start([range(20)] * 2, np.random.default_rng(0))
  assert pools.pending[0] != pools.pending[1]
  again = OptionPools.start([range(20)] * 2, np.random.default_rng(0))
  assert again == pools


def test_what_is_in_use_from_the_beginning_does_not_wait():
  pools = OptionPools.start(GENES, np.random.default_rng(0), [[6], [3], [0, 1]])
  assert pools.active == ((6,), (3,), (0, 1))
  assert pools.coverage == pytest.approx(4 / 18)
  with pytest.raises(ValueError, match="were in use"):
    pools.keep([[5], [3], [0]])


@pytest.mark.parametrize(
  ("options", "capacity", "expected", "seen"),
  [(27, 5, 6, 25), (19, 6, 3, 16), (72, 5, 17, 69), (9, 3, 4, 9), (5, 5, 1, 5)],
)
def test_the_published_number_of_rounds_leaves_a_few_options_unseen(
  options, capacity, expected, seen
):
  assert rounds(options, capacity) == expected
  pools = OptionPools.start([range(options)], np.random.default_rng(0))
  for _ in range(expected):
    pools = pools.keep([gene[:1] for gene in pools.active]).refill(capacity)
  assert pools.coverage == pytest.approx(seen / options)


def test_full_genes_see_no_more_of_their_queue():
  pools = OptionPools.start([range(6)], np.random.default_rng(0)).refill(3)
  assert pools.refill(3) == pools
  assert pools.coverage == 0.5


def test_a_subset_without_room_is_refused():
  with pytest.raises(UserError, match="subset of 1 operations has no room"):
    rounds(27, 1)
