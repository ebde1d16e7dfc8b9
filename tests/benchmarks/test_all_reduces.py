"""Sums over devices are read from programs as XLA writes them."""

import types

import jax
import numpy as np
import pytest

from benchmarks.speed import all_reduces

pytestmark = pytest.mark.slow

PROGRAM = """
  %all-reduce.1 = (f32[3,3,1,8]{3,2,1,0}, f32[4]{0}, /*index=2*/f32[]) all-reduce(%a)
  %get-tuple-element.1 = f32[4]{0} get-tuple-element(%all-reduce.1), index=1
  ROOT %all-reduce.2 = bf16[16]{0} all-reduce-start(%c), channel_id=1
  %all-reduce.3 = bf16[16]{0} all-reduce-done(%all-reduce.2)
  %fusion.1 = f32[100]{0} fusion(%all-reduce.1), kind=kLoop
"""


def state(**params):
  shapes = {name: jax.ShapeDtypeStruct(s, np.float32) for name, s in params.items()}
  stats = {"mean": jax.ShapeDtypeStruct((16,), np.float32)}
  return types.SimpleNamespace(params=shapes, batch_stats=stats)


def test_every_array_is_found_once():
  expected = [("f32", (3, 3, 1, 8)), ("f32", (4,)), ("f32", ()), ("bf16", (16,))]
  assert all_reduces.arrays(PROGRAM) == expected


def test_items_add_up_to_all_that_is_summed():
  items = all_reduces.itemised(PROGRAM, state(kernel=(3, 3, 1, 8), index_learner=(4,)))
  assert items == {"gradients": 288, "learner": 16, "batch_norm": 32, "rest": 4}


def test_a_gradient_that_is_not_summed_is_named():
  with pytest.raises(ValueError, match=r"no gradient of \['epitome'\] \(2, 8\)"):
    all_reduces.itemised(PROGRAM, state(epitome=(2, 8)))
