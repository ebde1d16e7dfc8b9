"""Query, key and value become one where all three are there, and nothing else does."""

import numpy as np

from neural_epitome.state_dicts import projections


def test_three_projections_become_one_in_the_order_of_timm():
  state = {
    f"a.{part}.{last}": np.full(shape, number, np.float32)
    for number, part in enumerate(("query", "key", "value"))
    for last, shape in (("weight", (2, 3)), ("bias", (2,)))
  }
  joined = projections.joined(state | {"b.weight": np.ones(1)})
  assert joined.keys() == {"a.qkv.weight", "a.qkv.bias", "b.weight"}
  assert joined["a.qkv.weight"].shape == (6, 3)
  np.testing.assert_array_equal(joined["a.qkv.bias"], [0, 0, 1, 1, 2, 2])


def test_what_has_not_all_three_or_cannot_be_joined_stays():
  alone = {"a.query.weight": np.ones((2, 3)), "a.key.weight": np.ones((2, 3))}
  assert projections.joined(alone) == alone
  unfit = alone | {"a.value.weight": np.ones((2, 4))}
  assert projections.joined(unfit) == unfit
  scalars = {f"a.{part}.scale": np.ones(()) for part in ("query", "key", "value")}
  assert projections.joined(scalars) == scalars
