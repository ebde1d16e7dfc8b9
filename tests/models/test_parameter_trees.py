"""Checkpoints of 0.1.0 stay readable: names and shapes of variables do not change.

`parameter_trees.json` was written when `EpitomeConv` still had arguments of its own.
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from neural_epitome import models
from neural_epitome.experiment import load_experiment
from neural_epitome.training import setup

TREES = json.loads(Path(__file__).with_name("parameter_trees.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("experiment", sorted(TREES))
def test_variables_have_the_names_and_shapes_of_old_checkpoints(experiment):
  config = load_experiment(experiment)
  plan = config.planner.plan(setup.take_inventory(config, 12))
  assert plan.architecture == "6d5890dde68e0cd3"
  model = models.create(config.model, 12, plan=plan)
  images = jnp.zeros((1, *config.data.input_shape))
  variables = jax.eval_shape(model.init, jax.random.key(0), images)
  trees = {
    "/".join(key.key for key in path): list(leaf.shape)
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
  }
  assert trees == TREES[experiment]
