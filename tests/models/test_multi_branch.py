"""Cells average their branches, and their input where it has the same form."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from neural_epitome import codec, models
from neural_epitome.errors import UserError
from neural_epitome.models import ModelConfig
from neural_epitome.models.block_module import BlockModule
from neural_epitome.models.multi_branch import MultiBranchConfig, Stage
from neural_epitome.models.nse_networks import NSENET27
from neural_epitome.models.operation_pools import POOLS

X = jax.random.normal(jax.random.key(0), (2, 16, 16, 3))
TINY = MultiBranchConfig(
  pool="gpu",
  cells=((), (0, 9, 13), (11,)),
  stem=8,
  stages=(Stage(16, 2, 1),),
  head=16,
)


def test_pools_have_the_published_numbers_of_candidates():
  assert {name: len(pool) for name, pool in POOLS.items()} == {
    "madds": 27,
    "grouped": 72,
    "gpu": 19,
  }
  for pool in POOLS.values():
    assert len(set(pool)) == len(pool)


@pytest.mark.slow
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("pool", POOLS)
def test_every_candidate_makes_the_same_shape(pool, stride):
  layers = models.make_layers()
  for operation in POOLS[pool]:
    branch = BlockModule(operation.declare(8, 16, stride), layers)
    shape = jax.eval_shape(
      lambda x, branch=branch: branch.init_with_output(jax.random.key(0), x)[0],
      jax.ShapeDtypeStruct((2, 14, 14, 8), jnp.float32),
    ).shape
    assert shape == (2, 14 // stride, 14 // stride, 16)


@pytest.fixture(scope="module")
def variables():
  return jax.jit(models.create(TINY, 5).init)(jax.random.key(1), X)


@pytest.mark.slow
def test_a_cell_is_the_mean_of_its_branches_and_of_an_input_of_its_form(variables):
  model = models.create(TINY, 5)
  seen = {}

  def record(call, arguments, keywords, context):
    output = call(*arguments, **keywords)
    if isinstance(context.module, BlockModule):
      seen[context.module.name] = arguments[0], output
    if context.module.name == "head" and context.method_name == "__call__":
      seen["head"] = arguments[0], output
    return output

  with nn.intercept_methods(record):
    model.apply(variables, X)
  first = [seen[f"cell_1_branch_{number}"][1] for number in (0, 9, 13)]
  read, made = seen["cell_2_branch_11"]
  np.testing.assert_allclose(read, sum(first) / 3, atol=1e-6)
  np.testing.assert_allclose(seen["head"][0], (read + made) / 2, atol=1e-6)


@pytest.mark.slow
def test_every_parameter_learns_and_no_cell_without_branches_has_any(variables):
  assert not any(name.startswith("cell_0") for name in variables["params"])
  model = models.create(TINY, 5)

  @jax.jit
  @jax.grad
  def gradients(params):
    logits, _ = model.apply(
      variables | {"params": params}, X, train=True, mutable=["batch_stats"]
    )
    return jnp.sum(jnp.sin(logits))

  for path, leaf in jax.tree_util.tree_leaves_with_path(gradients(variables["params"])):
    assert np.any(leaf != 0), path


def test_it_survives_json():
  assert codec.decode(ModelConfig, codec.encode(NSENET27)) == NSENET27


@pytest.mark.parametrize(
  ("changes", "words"),
  [
    ({"cells": ((), (0,))}, "asks for 3"),
    ({"cells": ((), (), (0,))}, "needs an operation"),
    ({"cells": ((), (0, 0), (0,))}, "different numbers"),
    ({"cells": ((), (19,), (0,))}, "from 0 to 18"),
    ({"pool": "grouped", "stem": 9, "cells": ((27,), (0,), (0,))}, "do not divide 9"),
  ],
)
def test_an_encoding_that_does_not_fit_is_refused(changes, words):
  with pytest.raises(UserError, match=words):
    models.create(dataclasses.replace(TINY, **changes), 5)
