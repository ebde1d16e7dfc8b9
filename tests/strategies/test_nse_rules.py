"""What NSE drops, draws and retains."""

import hypothesis
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from neural_epitome.spaces.rate_space import RateSpace
from neural_epitome.strategies import nse_rules

SPACE = RateSpace(("a", "b", "c"), (10, 10, 10))
CELLS = (4, 5)
MASK = arrays.arrays(bool, CELLS)
ALPHAS = arrays.arrays(
  np.float32, CELLS, elements=st.sampled_from([-5, -2.5, -2, 0, 3])
)


@hypothesis.given(ALPHAS, MASK, MASK, arrays.arrays(bool, 4))
def test_operations_leave_where_their_gates_are_shut_and_nobody_has_them(
  alpha, active, kept, may_be_empty
):
  stays = np.asarray(
    nse_rules.still_active(*map(jnp.asarray, (alpha, active, kept, may_be_empty)))
  )
  assert not np.any(stays & ~active)
  open_or_kept = active & ((alpha >= -2) | kept)
  assert np.all(stays[open_or_kept])
  np.testing.assert_array_equal(stays[may_be_empty], open_or_kept[may_be_empty])
  for cell in np.flatnonzero(~may_be_empty):
    assert stays[cell].sum() >= min(2, active[cell].sum())
    forced = stays[cell] & ~open_or_kept[cell]
    dropped = active[cell] & ~stays[cell]
    # No better one was dropped for one that had to stay, and no more than two had.
    assert forced.sum() <= 2
    if forced.any() and dropped.any():
      assert alpha[cell, forced].min() >= alpha[cell, dropped].max()


def price(arch):
  return float(arch.member.sum())


def test_a_window_is_filled_with_different_architectures_and_has_no_ends():
  random = np.random.default_rng(0)
  drawn = nse_rules.draw_window(
    lambda: SPACE.sample(0, int(random.integers(2**31)), count=20),
    price,
    target=13.0,
    drift=2.0,
    count=60,
    below=2.0,
    extra=15,
  )
  inside, strip = drawn
  assert (len(set(inside)), len(set(strip))) == (60, 15)
  assert {price(arch) for arch in inside} == {12.0, 13.0, 14.0}
  assert {price(arch) for arch in strip} == {10.0, 11.0}


def test_a_window_that_nothing_falls_into_ends():
  nothing = nse_rules.draw_window(
    lambda: SPACE.sample(0, count=5), price, target=99.0, drift=1.0, count=3
  )
  assert nothing == ([], [])


def measured(*rows):
  return [(SPACE.of(row[:3]), {"price": row[3], "top1": row[4]}) for row in rows]


def test_old_architectures_stay_where_no_other_beats_them():
  new = measured((1, 0, 0, 3.0, 0.5), (2, 0, 0, 5.0, 0.6), (3, 0, 0, 5.0, 0.55))
  old = measured((4, 0, 0, 4.0, 0.55), (5, 0, 0, 6.0, 0.6))
  kept = nse_rules.retained(new, old, [])
  assert kept == [arch for arch, _ in (new[0], old[0], new[1])]


def test_an_old_one_loses_a_tie_and_two_new_ones_both_stay():
  new = measured((1, 0, 0, 3.0, 0.5), (2, 0, 0, 3.0, 0.5))
  old = measured((4, 0, 0, 3.0, 0.5))
  assert set(nse_rules.retained(new, old, [])) == {arch for arch, _ in new}


def test_what_lies_below_the_window_tightens_the_front_and_is_not_on_it():
  new = measured((1, 0, 0, 3.0, 0.5), (2, 0, 0, 5.0, 0.6))
  extra = measured((7, 0, 0, 2.0, 0.55))
  assert nse_rules.retained(new, [], extra) == [new[1][0]]
