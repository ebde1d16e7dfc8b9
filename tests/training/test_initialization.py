"""Starting from trained variables: what is taken and refused; pruning."""

import contextlib
import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from neural_epitome.config import override
from neural_epitome.distributed import devices
from neural_epitome.epitome import activations, fitting, routing
from neural_epitome.epitome.generators import ChannelEpitomeRule
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.errors import UserError
from neural_epitome.models import MobileNetV2Config
from neural_epitome.planning import DensePlanner, RatePlanner
from neural_epitome.training import distillation, initialization, loading, losses
from neural_epitome.training import optimizer as optimizers
from neural_epitome.training import setup as setups
from neural_epitome.training import state as states
from neural_epitome.training.feed import Feed
from neural_epitome.training.loop import run
from neural_epitome.training.pruning import run_pruned
from tests.training import tiny

pytestmark = pytest.mark.slow


def fresh(config, seed=0):
  setup = setups.prepare(config)
  rule, _ = optimizers.create(config.optimizer, total_steps=10, steps_per_epoch=10)
  init = states.initializer(setup.model, rule, (28, 28, 1), ema=True)
  return states.create(init, seed, devices.make_mesh())


def begin(state, start, config):
  plan, lines = setups.prepare(config).plan, []
  return initialization.begin(state, start, plan, config, lines.append)


def test_every_variable_is_replaced_and_averaged_ones_too(tmp_path):
  config = tiny.experiment()
  trained, state = fresh(config, seed=1), fresh(config)
  initialization.save(trained.variables(), tmp_path / "start.npz")
  begun = begin(state, tmp_path / "start.npz", config)
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
  initialization.save(variables, path)
  with pytest.raises(UserError, match=r"params/conv_1/epitome has shape \[1, 2\]"):
    begin(state, path, config)
  del variables["params"]["conv_1"]["epitome"]
  initialization.save(variables, path)
  with pytest.raises(UserError, match="no params/conv_1/epitome"):
    begin(state, path, config)
  variables = state.variables() | {"params": {**state.params, "extra": np.zeros(1)}}
  initialization.save(variables, path)
  with pytest.raises(UserError, match="params/extra, which the network has not"):
    begin(state, path, config)


@pytest.mark.parametrize("content", [None, b"no archive"])
def test_a_start_that_cannot_be_read_is_refused(tmp_path, content):
  path = tmp_path / "start.npz"
  if content is not None:
    path.write_bytes(content)
  with pytest.raises(UserError, match=r"training\.start"):
    initialization.read(path, tiny.experiment())


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
  sliced, _ = initialization.read(tmp_path / "start.npz", config)
  unpruned, _ = initialization.read(tmp_path / "dense", config)
  name = "params/block_0/project_norm/scale"
  np.testing.assert_array_equal(sliced[name], unpruned[name])
  tuned = loading.load(tmp_path / "pruned")
  assert tuned.config.training.start == str(tmp_path / "start.npz")
  assert set(sliced) == set(initialization.read(tmp_path / "pruned", config)[0])
  assert run_pruned(config, tmp_path, int(0.8 * dense), minimum=2, quiet=True) == report


CHANNELS = RatePlanner(rate=1.5, rule=ChannelEpitomeRule())


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
  """A run directory of a dense network."""
  config = tiny.experiment(epochs=0.4, evaluate_every=0.0)
  config = dataclasses.replace(config, planner=DensePlanner())
  directory = tmp_path_factory.mktemp("dense")
  run(config, directory, quiet=True)
  return directory


@pytest.mark.parametrize("source", ["fixed", "free", "learner"])
def test_another_plan_starts_from_the_kernels_it_can_nearest_generate(dense, source):
  config = dataclasses.replace(
    tiny.experiment(), planner=CHANNELS, indices=IndexOptions(source=source)
  )
  plan, lines = setups.prepare(config).plan, []
  begun = initialization.begin(fresh(config), dense, plan, config, lines.append)
  assert "Fitted 2 kernels" in lines[0]
  trained = loading.load(dense)
  flat = traverse_util.flatten_dict(begun.params, sep="/")
  trained_params = traverse_util.flatten_dict(trained.variables["params"], sep="/")
  for path, kernel in plan.kernels.items():
    layer = path.removesuffix("/kernel")
    own = {role: np.asarray(flat[name]) for role, name in kernel.tensors.items()}
    axes = begun.routing.get(layer, {"map": {}})["map"]
    generated = kernel.generator.generate(own, axes, kernel.shape)
    error = fitting.relative_error(trained_params[path], generated)
    assert error < (0.6 if path in plan.compressed else 1e-6)
    if source == "free" and axes:
      np.testing.assert_allclose(flat[f"{layer}/indices"], routing.flatten(axes))
  for name in ("classifier/bias", "norm_0/scale"):
    np.testing.assert_array_equal(flat[name], trained_params[name])
  closed = dataclasses.replace(config.training, fit="closed")
  closed = dataclasses.replace(config, training=closed)
  initialization.begin(fresh(config), dense, plan, closed, lines.append)
  full, closed = (float(line.split()[5]) for line in lines)
  assert full < closed


def test_a_fit_may_heed_what_the_trained_network_reads(dense):
  config = dataclasses.replace(tiny.experiment(), planner=CHANNELS)
  config = dataclasses.replace(config, indices=IndexOptions(source="fixed"))
  plan, trained = setups.prepare(config).plan, loading.load(dense)
  with contextlib.closing(Feed(config).training(0)) as batches:
    images = [next(batches)["image"] for _ in range(3)]
  importance = activations.input_importance(
    lambda x: trained.model.apply(trained.variables, x, train=False), images
  )
  trained_params = traverse_util.flatten_dict(trained.variables["params"], sep="/")
  errors = []
  for count in (0, 3):
    training = dataclasses.replace(config.training, fit_batches=count)
    chosen = dataclasses.replace(config, training=training)
    begun = initialization.begin(fresh(chosen), dense, plan, chosen, lambda line: None)
    flat = traverse_util.flatten_dict(begun.params, sep="/")
    total = 0.0
    for path in plan.compressed:
      kernel = plan.kernels[path]
      own = {role: np.asarray(flat[name]) for role, name in kernel.tensors.items()}
      axes = begun.routing[path.removesuffix("/kernel")]["map"]
      generated = np.asarray(kernel.generator.generate(own, axes, kernel.shape))
      root = np.sqrt(importance[path])[:, None]
      target = np.asarray(trained_params[path])
      total += fitting.relative_error(target * root, generated * root) ** 2
    errors.append(total)
  assert errors[1] < errors[0]


def test_a_fitted_run_that_only_its_teacher_teaches_takes_no_notice_of_labels(
  dense, tmp_path
):
  seen = []
  for smoothing in (0.0, 0.9):
    config = tiny.experiment(
      epochs=0.3, start=str(dense), teacher=str(dense), teacher_share=1.0,
      label_smoothing=smoothing, evaluate_every=0.0,
    )  # fmt: skip
    config = dataclasses.replace(config, planner=CHANNELS)
    run(config, tmp_path / str(smoothing), quiet=True)
    text = (tmp_path / str(smoothing) / "metrics.jsonl").read_text()
    lines = map(json.loads, text.splitlines())
    seen.append([line["loss"] for line in lines if "learning_rate" in line])
  assert len(seen[0]) == 3
  assert np.isfinite(seen[0]).all()
  assert seen[0] == seen[1]


@pytest.mark.parametrize(
  ("options", "size", "first", "words"),
  [
    ({}, 32, 0, r"shape \[28, 28, 1\]"),
    ({}, 28, 1, "other classes"),
  ],
)
def test_a_teacher_that_cannot_be_one_is_refused(dense, options, size, first, words):
  config = tiny.experiment(teacher=str(dense), **options)
  config = override(config, "data.image_size", str(size))
  classes = ("unheard of",) * first + loading.load(dense).classes[first:]
  with pytest.raises(UserError, match=words):
    distillation.make_teacher(config, classes, devices.make_mesh())


def test_a_teacher_pulls_the_loss_towards_its_answers():
  logits = jnp.asarray([[2.0, -1.0, 0.5]])
  targets = jax.nn.softmax(logits / 3.0)

  def loss(logits):
    return losses.distillation(logits, targets, 3.0)

  # Least, and flat, where the student says what the teacher says.
  np.testing.assert_allclose(jax.grad(loss)(logits), 0.0, atol=1e-6)
  assert loss(logits + jnp.asarray([[0.5, 0.0, 0.0]])) > loss(logits)


def started(start, classes, planner=None):
  """A begun state for a run that tells these classes apart, and what was said."""
  config = dataclasses.replace(tiny.experiment(), planner=planner or DensePlanner())
  plan, lines = setups.prepare(config).plan, []
  begun = initialization.begin(
    fresh(config), start, plan, config, lines.append, classes=classes
  )
  return traverse_util.flatten_dict(begun.params, sep="/"), lines


def test_a_start_brings_its_classifier_in_the_order_of_the_runs_classes(dense):
  trained = loading.load(dense)
  trained_params = traverse_util.flatten_dict(trained.variables["params"], sep="/")
  order = [3, 0, 1, 2, *range(9, 3, -1)]
  params, lines = started(dense, [trained.classes[i] for i in order])
  assert not lines
  for name in ("classifier/kernel", "classifier/bias"):
    np.testing.assert_array_equal(params[name], trained_params[name][..., order])
  np.testing.assert_array_equal(
    params["conv_1/kernel"], trained_params["conv_1/kernel"]
  )
  # Of another plan, too: there the kernels are fitted.
  params, _ = started(dense, [trained.classes[i] for i in order], CHANNELS)
  np.testing.assert_array_equal(
    params["classifier/bias"], trained_params["classifier/bias"][..., order]
  )


@pytest.mark.parametrize("planner", [DensePlanner(), CHANNELS])
def test_a_start_of_as_many_other_classes_loses_its_classifier_with_a_word(
  dense, planner
):
  trained = loading.load(dense)
  trained_params = traverse_util.flatten_dict(trained.variables["params"], sep="/")
  params, lines = started(dense, ["new", *trained.classes[1:]], planner)
  assert "'new' only here" in lines[0]
  assert "starts afresh" in lines[0]
  assert not np.array_equal(
    params["classifier/bias"], trained_params["classifier/bias"]
  )
  np.testing.assert_array_equal(params["norm_0/scale"], trained_params["norm_0/scale"])


def test_variables_in_a_file_may_say_of_which_classes_they_are(tmp_path):
  config = tiny.experiment()
  variables, names = fresh(config, seed=1).variables(), list("abcdefghij")
  initialization.save(variables, tmp_path / "start.npz", names)
  plan, lines = setups.prepare(config).plan, []
  begun = initialization.begin(
    fresh(config), tmp_path / "start.npz", plan, config, lines.append, classes=names
  )
  jax.tree.map(np.testing.assert_array_equal, begun.variables(), variables)
  initialization.begin(
    fresh(config),
    tmp_path / "start.npz",
    plan,
    config,
    lines.append,
    classes=["x"] * 10,
  )
  assert "other classes" in lines[0]


def test_evaluation_matches_classes_by_name(dense):
  trained = loading.load(dense)
  right, order = loading.evaluate(trained), [*range(1, 10), 0]
  names = tuple(trained.classes[i] for i in order)
  layer = trained.variables["params"]["classifier"]
  moved = {name: leaf[..., np.array(order)] for name, leaf in layer.items()}
  params = trained.variables["params"] | {"classifier": moved}
  # The same network, its answers in another order.
  other = dataclasses.replace(
    trained, variables=trained.variables | {"params": params}, classes=names
  )
  assert loading.evaluate(other)["top1"] == right["top1"]
  # The same answers under other names are wrong.
  wrong = loading.evaluate(dataclasses.replace(trained, classes=names))
  assert wrong["loss"] > right["loss"]
  with pytest.raises(UserError, match="other classes than the network"):
    loading.evaluate(dataclasses.replace(trained, classes=("new", *names[1:])))
