"""A compressed network learns from the one that it came from, and stays as small."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import neural_epitome as ne
from neural_epitome.training import compressed_distillation as distillation

EXAMPLES = np.random.default_rng(0).normal(size=(256, 24)).astype(np.float32)


class Network(nn.Module):
  """Two dense layers and statistics between them."""

  @nn.compact
  def __call__(self, x, train=False):
    x = nn.Dense(128)(x)
    x = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
    return nn.Dense(10)(x)


def apply(tree, x):
  return Network().apply(tree, x)


@pytest.fixture(scope="module")
def teacher():
  return Network().init(jax.random.key(0), EXAMPLES)


@pytest.fixture(scope="module")
def small(teacher):
  return ne.compress(teacher, "3.5kB", rule="best", quiet=True)


def error(small, teacher):
  outputs = apply(small.expand(small.compact), EXAMPLES)
  return float(distillation.output_error(outputs, apply(teacher, EXAMPLES)))


@pytest.mark.slow
@pytest.mark.parametrize("loss", [*distillation.LOSSES, distillation.output_error])
def test_outputs_come_nearer_and_the_file_stays_as_small(
  loss, teacher, small, tmp_path
):
  trained = ne.distill(
    small, teacher, apply, EXAMPLES, loss=loss, epochs=80, moves=0, quiet=True
  )
  assert error(trained, teacher) < 0.7 * error(small, teacher)
  trained.save(tmp_path / "small.safetensors")
  size = (tmp_path / "small.safetensors").stat().st_size
  assert size == small.totals.stored_bytes
  read = ne.load_compressed(tmp_path / "small.safetensors")
  for one, other in zip(
    jax.tree.leaves(read.expand(read.compact)),
    jax.tree.leaves(trained.expand(trained.compact)),
    strict=True,
  ):
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_windows_that_move_keep_the_file_as_small(teacher, small, tmp_path):
  trained = ne.distill(small, teacher, apply, EXAMPLES, epochs=20, moves=3, quiet=True)
  assert error(trained, teacher) < 0.7 * error(small, teacher)
  assert any(
    not np.array_equal(trained.offsets[path]["start"], small.offsets[path]["start"])
    for path in small.offsets
  )
  trained.save(tmp_path / "small.safetensors")
  size = (tmp_path / "small.safetensors").stat().st_size
  assert size == trained.totals.stored_bytes <= small.totals.stored_bytes


@pytest.mark.slow
def test_what_is_frozen_stays_and_statistics_are(teacher, small):
  trained = ne.distill(
    small,
    teacher,
    apply,
    EXAMPLES,
    frozen=(*ne.STATISTICS, "params/Dense_0/*"),
    epochs=2,
    quiet=True,
  )
  for name, value in trained.compact.items():
    is_frozen = name.startswith(("batch_stats/", "params/Dense_0/"))
    assert np.array_equal(value, small.compact[name]) == is_frozen, name


@pytest.mark.slow
def test_the_same_seed_gives_the_same_numbers_and_another_gives_others(teacher, small):
  first, again, other = (
    ne.distill(small, teacher, apply, EXAMPLES, epochs=1, seed=seed, quiet=True)
    for seed in (0, 0, 1)
  )
  name = "params/Dense_0/bias"
  np.testing.assert_array_equal(first.compact[name], again.compact[name])
  assert not np.array_equal(first.compact[name], other.compact[name])


@pytest.mark.slow
@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"batch": 257}, "batch=257 must be from 1 to 256"),
    ({"epochs": 0}, "epochs=0 and"),
    ({"moves": -1}, "moves=-1 must be 0 or more"),
    ({"learning_rate": float("nan")}, "must be above 0"),
    ({"loss": "mse"}, "loss='mse' must be one of outputs, classes, labels"),
    ({"frozen": ("*",)}, "leaves nothing to train"),
    ({"examples": {"a": EXAMPLES, "b": EXAMPLES[:3]}}, "as many rows each"),
  ],
)
def test_what_cannot_be_trained_is_one_line(options, message, teacher, small):
  arguments = {"examples": EXAMPLES, "quiet": True} | options
  with pytest.raises(ne.UserError, match=message):
    ne.distill(small, teacher, apply, arguments.pop("examples"), **arguments)


@pytest.mark.slow
def test_a_teacher_of_another_structure_is_refused(teacher, small):
  with pytest.raises(ne.UserError, match="the teacher has no 'params/Dense_0/kernel'"):
    ne.distill(small, teacher["params"], apply, EXAMPLES, quiet=True)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_is_said(teacher, small):
  examples = np.full_like(EXAMPLES, np.nan)
  with pytest.raises(ne.UserError, match="the loss became nan"):
    ne.distill(small, teacher, apply, examples, epochs=1, quiet=True)


@pytest.mark.slow
def test_errors_are_least_where_outputs_agree():
  expected = jax.random.normal(jax.random.key(0), (8, 5))
  for loss in distillation.LOSSES.values():
    gradient = jax.grad(loss)(expected, expected)
    np.testing.assert_allclose(gradient, jnp.zeros_like(gradient), atol=1e-6)
    assert loss(1.5 * expected, expected) > loss(expected, expected)
