"""The training step: one device or many, what travels, what is frozen when."""

import dataclasses
import math
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from benchmarks.speed import all_reduces
from neural_epitome import models
from neural_epitome.config import OptimizerOptions
from neural_epitome.distributed import devices
from neural_epitome.epitome.generators import EpitomeRule
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.models.base import NormOptions
from neural_epitome.planning.dense import DensePlanner
from neural_epitome.planning.rate import RatePlanner
from neural_epitome.training import optimizer, setup, state, step
from tests.training import tiny

SHAPE = (12, 12, 1)
BATCH = 16
EPITOMES = RatePlanner(
  rate=4.0, rule=EpitomeRule(side="both", routing="factorised", margin=1)
)
MOMENTUM = OptimizerOptions(
  name="sgd", learning_rate=0.1, schedule="constant", warmup_epochs=0.0
)
MOMENTUM = dataclasses.replace(MOMENTUM, weight_decay=1e-4)


@dataclasses.dataclass
class Trainer:
  """A step with the state it starts from."""

  step: object
  state: state.State
  mesh: object

  def run(self, batches):
    current, measured = jax.tree.map(jnp.copy, self.state), []
    for batch in batches:
      current, values = self.step(current, devices.put(batch, self.mesh))
      measured.append(jax.device_get(values))
    return current, measured


def make_trainer(
  mesh,
  planner=EPITOMES,
  norm="global",
  features=8,
  dropout=0.0,
  source="learner",
  optimizer_options=MOMENTUM,
  **options,
) -> Trainer:
  arm = tiny.TinyConfig(features=features, dropout=dropout)
  config = dataclasses.replace(
    tiny.experiment(batch_norm=norm),
    model=arm,
    planner=planner,
    indices=IndexOptions(source=source, hidden=4, start="spread"),
    data=dataclasses.replace(tiny.experiment().data, image_size=SHAPE[0]),
    norm=NormOptions(momentum=0.9),
  )
  inventory = setup.take_inventory(config, 10)
  model = setup.build(config, 10, planner.plan(inventory))
  rule, schedule = optimizer.create(
    optimizer_options, total_steps=10, steps_per_epoch=5
  )
  chosen = step.StepOptions(**{"ema_decay": 0.9} | options)
  init = state.initializer(model, rule, SHAPE, ema=chosen.ema_decay > 0)
  return Trainer(
    step.make_train_step(model, rule, schedule, mesh, chosen),
    state.create(init, 0, mesh),
    mesh,
  )


def make_batches(count, size=BATCH):
  rng = np.random.default_rng(0)
  return [
    {
      "image": rng.normal(size=(size, *SHAPE)).astype(np.float32),
      "label": rng.integers(0, 10, size).astype(np.int32),
      "position": np.arange(i * size, (i + 1) * size, dtype=np.uint32),
    }
    for i in range(count)
  ]


def assert_close(actual, expected, atol):
  assert jax.tree.structure(actual) == jax.tree.structure(expected)
  for path, leaf in jax.tree_util.tree_leaves_with_path(actual):
    other = expected
    other = dict(jax.tree_util.tree_leaves_with_path(expected))[path]
    np.testing.assert_allclose(
      leaf, other, atol=atol, rtol=1e-4, err_msg=jax.tree_util.keystr(path)
    )


@pytest.mark.slow
def test_two_devices_equal_one():
  results = []
  for count in (1, 2):
    mesh = devices.make_mesh(jax.devices()[:count])
    trainer = make_trainer(mesh, dropout=0.5, mixup=0.2, freeze_step=2)
    final, measured = trainer.run(make_batches(3))
    results.append((jax.device_get(final), measured))
  (one, metrics_one), (two, metrics_two) = results
  assert_close(two, one, atol=2e-6)
  assert_close(metrics_two, metrics_one, atol=1e-5)
  assert not np.allclose(one.params["conv_0"]["kernel"], 0)


EIGHT = """
import numpy as np, jax
jax.config.update("jax_numpy_dtype_promotion", "strict")
from tests.training import test_step
from neural_epitome.distributed import devices
assert jax.device_count() == 8
results = []
for count in (1, 8):
  mesh = devices.make_mesh(jax.devices()[:count])
  trainer = test_step.make_trainer(mesh, dropout=0.5, mixup=0.2, freeze_step=2)
  final, measured = trainer.run(test_step.make_batches(3))
  results.append((jax.device_get(final), measured))
test_step.assert_close(results[1], results[0], atol=2e-6)
print("equal")
"""


@pytest.mark.slow
def test_eight_devices_equal_one():
  """Global batch norm, learned indices, dropout and mixup, in a process of its own."""
  environment = os.environ | {
    "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
    "JAX_PLATFORMS": "cpu",
    "PYTHONPATH": str(pathlib.Path(__file__).parents[2]),
  }
  done = subprocess.run(
    [sys.executable, "-c", EIGHT],
    env=environment,
    capture_output=True,
    text=True,
    timeout=300,
    check=False,
  )
  assert done.returncode == 0, done.stderr[-3000:]
  assert done.stdout.strip() == "equal"


@pytest.mark.slow
def test_batch_norm_of_each_device_differs_from_the_global_one_and_is_replicated():
  mesh = devices.make_mesh()
  (batch,) = make_batches(1)
  stats = {}
  for norm in ("device", "global"):
    final, _ = make_trainer(mesh, norm=norm, planner=DensePlanner()).run([batch])
    shards = [
      np.asarray(shard.data)
      for shard in final.batch_stats["norm_0"]["var"].addressable_shards
    ]
    np.testing.assert_array_equal(shards[0], shards[1])
    stats[norm] = shards[0]
  # The variance of the whole is the mean of the parts' plus the variance of means.
  assert (stats["global"] > stats["device"]).all()
  np.testing.assert_allclose(stats["global"], stats["device"], rtol=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["learner", "free"])
def test_the_gradient_all_reduce_carries_epitomes_not_kernels(source):
  trainer = make_trainer(
    devices.make_mesh(), features=32, source=source, norm="device", ema_decay=0.0
  )
  (batch,) = make_batches(1)
  text = (
    trainer.step.lower(trainer.state, devices.put(batch, trainer.mesh))
    .compile()
    .as_text()
  )
  reduced = [math.prod(shape) for _, shape in all_reduces.arrays(text)]
  leaves = jax.tree.leaves(trainer.state.params)
  epitome = trainer.state.params["conv_1"]["epitome"].size
  kernel = 3 * 3 * 32 * 64
  assert epitome * 3 < kernel
  assert max(reduced) == max(leaf.size for leaf in leaves)
  items = all_reduces.itemised(text, trainer.state)
  assert sum(items.values()) == 4 * sum(reduced)
  assert items["gradients"] + items["learner"] == 4 * sum(leaf.size for leaf in leaves)
  assert (items["learner"] > 0) == (source == "learner")
  # Beside the gradients: statistics, routing maps, learner outputs, two scalars.
  stats, maps = (
    4 * sum(leaf.size for leaf in jax.tree.leaves(tree))
    for tree in (trainer.state.batch_stats, trainer.state.routing)
  )
  assert items["batch_norm"] == stats
  assert items["rest"] <= 2 * maps + 16


@pytest.mark.slow
def test_the_map_is_frozen_and_rounded_once_and_the_average_takes_it_over():
  trainer = make_trainer(devices.make_mesh(), freeze_step=2)
  batches = make_batches(4)
  seen = []
  current = jax.tree.map(jnp.copy, trainer.state)
  for batch in batches:
    current, _ = trainer.step(current, devices.put(batch, trainer.mesh))
    seen.append(jax.device_get((current.routing, current.ema["routing"])))
  maps = [routing["conv_1"]["map"] for routing, _ in seen]
  assert [bool(routing["conv_1"]["frozen"]) for routing, _ in seen] == [0, 0, 1, 1]
  channels = sorted(maps[0].keys() - {"spatial"})
  assert channels
  for axis in channels:
    assert not np.array_equal(maps[0][axis], np.round(maps[0][axis]))
    np.testing.assert_array_equal(maps[2][axis], np.round(maps[1][axis]))
  np.testing.assert_array_equal(maps[2]["spatial"], maps[1]["spatial"])
  for axis in maps[0]:
    np.testing.assert_array_equal(maps[3][axis], maps[2][axis])
  for routing, averaged in seen[2:]:
    jax.tree.map(np.testing.assert_array_equal, averaged, routing)


@pytest.mark.slow
def test_a_dense_network_trains_as_a_ten_line_flax_loop():
  options = OptimizerOptions(schedule="constant", warmup_epochs=0.0)
  trainer = make_trainer(
    devices.make_mesh(),
    planner=DensePlanner(),
    label_smoothing=0.1,
    ema_decay=0.0,
    optimizer_options=options,
  )
  batches = make_batches(4)
  final, measured = trainer.run(batches)

  # The same by hand, on one device, with nothing of ours but the architecture.
  model = models.create(tiny.TinyConfig(features=8), 10)

  def mask(params):
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)

  rule = optax.adamw(3e-3, b1=0.9, b2=0.999, weight_decay=0.01, mask=mask)
  start = jax.device_get(trainer.state)
  params, stats, losses = start.params, start.batch_stats, []
  with jax.numpy_dtype_promotion("standard"):
    moments = rule.init(params)
    for batch in batches:

      def loss_of(params, stats=stats, batch=batch):
        variables = {"params": params, "batch_stats": stats}
        logits, updated = model.apply(
          variables, batch["image"], train=True, mutable=["batch_stats"]
        )
        targets = 0.9 * jax.nn.one_hot(batch["label"], 10) + 0.01
        loss = -jnp.mean(jnp.sum(targets * jax.nn.log_softmax(logits), axis=-1))
        return loss, updated["batch_stats"]

      (loss, stats), grads = jax.value_and_grad(loss_of, has_aux=True)(params)
      updates, moments = rule.update(grads, moments, params)
      params = optax.apply_updates(params, updates)
      losses.append(float(loss))
  np.testing.assert_allclose([m["loss"] for m in measured], losses, rtol=1e-5)
  # Adam divides by roots of tiny second moments: rounding differences grow.
  assert_close(jax.device_get(final.params), params, atol=2e-5)
  assert_close(jax.device_get(final.batch_stats), stats, atol=1e-5)


@pytest.mark.slow
def test_metrics_tell_of_a_loss_that_is_not_finite():
  trainer = make_trainer(devices.make_mesh(), planner=DensePlanner())
  good, bad = make_batches(2)
  bad["image"][3, 0, 0, 0] = np.nan
  _, measured = trainer.run([good, bad])
  assert [bool(values["finite"]) for values in measured] == [True, False]
