"""State dicts as networks, as starts and as teachers."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from flax import traverse_util
from safetensors.numpy import save_file

import neural_epitome as ne
from neural_epitome import models
from neural_epitome.config import override
from neural_epitome.distributed import devices
from neural_epitome.epitome import fitting
from neural_epitome.epitome.generators import ChannelEpitomeRule
from neural_epitome.planning import DensePlanner, RatePlanner
from neural_epitome.training import distillation, initialization
from neural_epitome.training import optimizer as optimizers
from neural_epitome.training import setup as setups
from neural_epitome.training import state as states
from tests.state_dicts import files, networks
from tests.training import tiny

pytestmark = pytest.mark.slow

MODEL = networks.SMALL["mobilenet_v2"]
PLANNERS = {
  "channels": RatePlanner(rate=1.5, rule=ChannelEpitomeRule()),
  "dense": DensePlanner(),
}
CONFIG = dataclasses.replace(
  tiny.experiment(fit="closed"), model=MODEL, planner=PLANNERS["channels"]
)


def write(path, classes, **options):
  """A state dict; its weights as variables."""
  flat = networks.variables(MODEL, classes, **options)
  state = networks.state_dict(MODEL, flat, "timm")
  if path.suffix == ".pth":
    files.save(path, state)
  else:
    state = {name: np.ascontiguousarray(array) for name, array in state.items()}
    save_file(state, path, {"format": "pt"})
  return flat


@functools.cache
def fresh(planner):
  config = dataclasses.replace(CONFIG, planner=PLANNERS[planner])
  setup = setups.prepare(config)
  rule, _ = optimizers.create(config.optimizer, total_steps=10, steps_per_epoch=10)
  init = states.initializer(setup.model, rule, (28, 28, 1), ema=False)
  return states.create(init, 0, devices.make_mesh()), setup.plan, config


def maps(state, plan):
  """Offsets in whole cells."""
  flat = jax.device_get(flatten(state.routing))
  return {
    path: {
      axis: np.round(flat[path.replace("kernel", f"map/{axis}")])
      for axis in kernel.generator.offsets(kernel.shape)
    }
    for path, kernel in plan.kernels.items()
  }


def flatten(tree):
  return traverse_util.flatten_dict(dict(tree), sep="/")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_state_dict_is_loaded_as_a_dense_network(tmp_path, suffix):
  path = tmp_path / f"it{suffix}"
  flat = write(path, 12)
  trained = ne.load_pretrained(path, CONFIG)
  assert trained.classes == tuple(map(str, range(12)))
  assert not trained.plan.compressed
  jax.tree.map(np.testing.assert_array_equal, flatten(trained.variables), flat)
  names = [f"class {i}" for i in range(12)]
  assert ne.load_pretrained(path, CONFIG, names).classes == tuple(names)


def test_a_start_of_as_many_classes_gives_every_weight(tmp_path):
  flat, lines = write(tmp_path / "it.pth", 10), []
  state, plan, config = fresh("dense")
  begun = initialization.begin(state, tmp_path / "it.pth", plan, config, lines.append)
  weights = flatten(begun.variables())
  for path, array in flat.items():
    np.testing.assert_array_equal(weights[path], array)
  assert lines == []


@pytest.mark.parametrize("planner", PLANNERS)
def test_a_start_of_other_classes_is_fitted_with_a_fresh_classifier(tmp_path, planner):
  flat, lines = write(tmp_path / "it.pth", 12), []
  state, plan, config = fresh(planner)
  begun = initialization.begin(state, tmp_path / "it.pth", plan, config, lines.append)
  assert "tells 12 classes apart, not 10: the classifier starts afresh" in lines[0]
  assert len(lines) == 1 + bool(plan.compressed)
  params, before = flatten(begun.params), flatten(state.params)
  for path in plan.kernels:
    now = fitting.generate(plan, params, maps(begun, plan), path)
    if path == "classifier/kernel":
      was = fitting.generate(plan, before, maps(state, plan), path)
      np.testing.assert_allclose(now, was, atol=1e-6)
    else:
      error = fitting.relative_error(flat[f"params/{path}"], now)
      assert error < (0.7 if path in plan.compressed else 1e-6)
  np.testing.assert_array_equal(params["classifier/bias"], before["classifier/bias"])
  for name in ("head_norm/scale", "block_1/project_norm/bias"):
    np.testing.assert_array_equal(params[name], flat[f"params/{name}"])


def test_a_state_dict_teaches_its_own_architecture(tmp_path):
  path = tmp_path / "it.pth"
  write(path, 10)
  config = override(CONFIG, "training.teacher", str(path))
  classes = tuple(f"class {i}" for i in range(10))
  images = np.random.default_rng(0).standard_normal((4, 28, 28, 1)).astype(np.float32)
  mesh = devices.make_mesh()
  answered = distillation.make_teacher(config, classes, mesh)({"image": images})
  trained = ne.load_pretrained(path, config)
  expected = jax.jit(trained.model.apply)(trained.variables, images)
  np.testing.assert_allclose(answered["teacher"], expected, rtol=1e-4, atol=1e-4)
  with pytest.raises(ne.UserError, match="10 classes apart, not 9"):
    distillation.make_teacher(config, classes[1:], mesh)


def test_what_the_file_cannot_say_is_asked_for(tmp_path):
  path = tmp_path / "it.pth"
  write(path, 10, channels=3)
  with pytest.raises(ne.UserError, match=r"ne\.load_pretrained\(FILE, config\)"):
    ne.load(path)
  with pytest.raises(ne.UserError, match=r"channels of config\.data"):
    ne.load_pretrained(path, CONFIG)
  other = dataclasses.replace(CONFIG, norm=models.NormOptions(epsilon=1e-3))
  with pytest.raises(ne.UserError, match=r"set --config\.norm\.epsilon=1e-05"):
    ne.load_pretrained(path, other)
