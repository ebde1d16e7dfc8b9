"""Starting from trained variables: what is taken and refused; pruning."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from neural_epitome.errors import UserError
from neural_epitome.models import MobileNetV2Config
from neural_epitome.training import devices, loading, starting
from neural_epitome.training import optimizer as optimizers
from neural_epitome.training import setup as setups
from neural_epitome.training import state as states
from neural_epitome.training.pruned import run_pruned
from tests.training import tiny


def fresh(config, seed=0):
  setup = setups.prepare(config)
  rule, _ = optimizers.create(config.optimizer, total_steps=10, steps_per_epoch=10)
  init = states.initializer(setup.model, rule, (28, 28, 1), ema=True)
  return states.create(init, seed, devices.make_mesh())


def test_every_variable_is_replaced_and_averaged_ones_too(tmp_path):
  config = tiny.experiment()
  trained, state = fresh(config, seed=1), fresh(config)
  starting.save(trained.variables(), tmp_path / "start.npz")
  begun = starting.begin(state, tmp_path / "start.npz")
  for weights in begun.weights().values():
    jax.tree.map(np.testing.assert_array_equal, weights, trained.variables())
  assert int(begun.step) == 0
  shardings = zip(*map(jax.tree.leaves, (begun.params, state.params)), strict=True)
  assert all(one.sharding == other.sharding for one, other in shardings)


def test_what_does_not_fit_is_named(tmp_path):
  config = tiny.experiment()
  variables, state = fresh(config).variables(), fresh(config)
  path = tmp_path / "start.npz"
  variables["params"]["conv_1"]["epitome"] = np.zeros((1, 2), np.float32)
  starting.save(variables, path)
  with pytest.raises(UserError, match=r"params/conv_1/epitome has shape \[1, 2\]"):
    starting.begin(state, path)
  del variables["params"]["conv_1"]["epitome"]
  starting.save(variables, path)
  with pytest.raises(UserError, match="no params/conv_1/epitome"):
    starting.begin(state, path)
  variables = state.variables() | {"params": {**state.params, "extra": np.zeros(1)}}
  starting.save(variables, path)
  with pytest.raises(UserError, match="params/extra, which the network has not"):
    starting.begin(state, path)


@pytest.mark.parametrize("content", [None, b"no archive"])
def test_a_start_that_cannot_be_read_is_refused(tmp_path, content):
  path = tmp_path / "start.npz"
  if content is not None:
    path.write_bytes(content)
  with pytest.raises(UserError, match=r"training\.start"):
    starting.read(path)


def test_a_pruned_run_trains_prunes_and_fine_tunes_in_the_recipes_epochs(tmp_path):
  config = tiny.experiment(epochs=0.4, evaluate_every=0.0, ema_decay=0.0)
  config = dataclasses.replace(
    config,
    model=MobileNetV2Config(
      stages=((4, 8, 1),), stage_strides=(2,), stem=8, head=32, dropout=0.0
    ),
  )
  dense = setups.take_inventory(config, 10).size
  report = run_pruned(config, tmp_path, int(0.8 * dense), minimum=2, quiet=True)
  assert report["stored_params"] == pytest.approx(0.8 * dense, rel=0.01)
  steps = [
    json.loads((tmp_path / part / "report/report.json").read_text())["steps"]
    for part in ("dense", "pruned")
  ]
  assert steps == [2, 2]
  sliced = starting.read(tmp_path / "start.npz")
  name = "params/block_0/project_norm/scale"
  np.testing.assert_array_equal(sliced[name], starting.read(tmp_path / "dense")[name])
  tuned = loading.load(tmp_path / "pruned")
  assert tuned.config.training.start == str(tmp_path / "start.npz")
  assert set(sliced) == set(starting.read(tmp_path / "pruned"))
  assert run_pruned(config, tmp_path, int(0.8 * dense), minimum=2, quiet=True) == report
