"""Epochs on the device: order, augmentation, and one program or one a step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.quality import networks, training
from benchmarks.quality.images import Images
from benchmarks.quality.plain import PlainConfig
from neural_epitome.cost import inventory as inventories


def numbered(count):
  image = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), np.uint8)
  return Images(jnp.asarray(image), jnp.arange(count, dtype=jnp.int32) % 100)


@pytest.mark.slow
def test_an_epoch_is_the_same_as_one_program_and_step_by_step():
  images, recipe = numbered(20), training.Recipe(batch=10)
  model = networks.dense_model(PlainConfig(channels=(8,)))
  course = training.Course(model, None, recipe, epochs=2, count=20)
  stepped, loss = training.run_epoch(
    course, course.start(networks.initial(model, 0)), images, {}, seed=0, epoch=1
  )
  plan = training._plan_epoch(20, 10, jnp.int32(0), jnp.int32(1))
  whole, losses = training._all_steps(
    course, course.start(networks.initial(model, 0)), images, {}, *plan
  )
  np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-5)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5),
    stepped["params"],
    whole["params"],
  )


def test_every_image_is_seen_once_an_epoch_in_another_order_each():
  orders = [
    np.asarray(training._plan_epoch(20, 5, jnp.int32(seed), jnp.int32(epoch))[0])
    for seed, epoch in ((0, 0), (0, 1), (1, 0), (0, 0))
  ]
  for order in orders:
    assert sorted(order.reshape(-1)) == list(range(20))
  assert not np.array_equal(orders[0], orders[1])
  assert not np.array_equal(orders[0], orders[2])
  np.testing.assert_array_equal(orders[0], orders[3])


def test_augmented_images_are_crops_of_the_padded_ones_or_their_mirrors():
  images = numbered(8).image
  augmented = np.asarray(training.augmented(jax.random.key(0), images))
  padded = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)))
  flipped = 0
  for image, whole in zip(augmented, padded, strict=True):
    crops = [whole[i : i + 32, j : j + 32] for i in range(9) for j in range(9)]
    is_crop = any(np.array_equal(image, crop) for crop in crops)
    is_mirror = any(np.array_equal(image, crop[:, ::-1]) for crop in crops)
    assert is_crop or is_mirror
    flipped += is_mirror
  assert 0 < flipped < 8


def test_bytes_of_cifar_100_are_of_mean_zero_and_deviation_one():
  pixels = np.array([[[[129, 124, 112]], [[197, 189, 183]]]], np.uint8)
  normalised = np.asarray(training.normalised(jnp.asarray(pixels)))
  np.testing.assert_allclose(normalised[0, 0, 0], 0.0, atol=0.02)
  np.testing.assert_allclose(normalised[0, 1, 0], 1.0, atol=0.02)


@pytest.mark.slow
def test_a_teacher_alone_can_teach():
  images = numbered(20)
  model = networks.dense_model(PlainConfig(channels=(8,)))
  recipe = training.Recipe(batch=20, share=1.0)
  course = training.Course(model, model, recipe, epochs=1, count=20)
  # Labels count nothing: other ones lead to the same weights.
  weights = []
  for label in (images.label, images.label[::-1]):
    state = course.start(networks.initial(model, 0))
    taught_by = networks.initial(model, 1)
    relabelled = Images(images.image, label)
    weights.append(training.run_epoch(course, state, relabelled, taught_by, 0, 0)[0])
  jax.tree.map(
    np.testing.assert_array_equal, weights[0]["params"], weights[1]["params"]
  )
  before = networks.initial(model, 0)["params"]
  moved = jax.tree.map(lambda a, b: np.any(a != b), weights[0]["params"], before)
  assert any(jax.tree.leaves(moved))


@pytest.mark.slow
def test_the_evaluation_counts_every_image(monkeypatch):
  monkeypatch.setattr(training, "_EVALUATED", 8)
  images = numbered(20)
  model = networks.dense_model(PlainConfig(channels=(8,)))
  variables = networks.initial(model, 0)
  logits = model.apply(variables, training.normalised(images.image), train=False)
  right = np.mean(np.argmax(logits, -1) == np.asarray(images.label))
  losses = -jax.nn.log_softmax(logits)[np.arange(20), images.label]
  evaluation = training.evaluate(model, variables, images)
  assert evaluation["top1"] == 100 * right
  np.testing.assert_allclose(evaluation["loss"], np.mean(losses), rtol=1e-5)


def test_the_plain_network_has_the_parameters_that_its_page_says():
  config = PlainConfig()
  inventory = inventories.take(networks.dense_model(config), (32, 32, 3))
  assert inventory.size == 664_756
  five = [use for use in inventory.kernels if use.path.startswith("conv_")]
  assert sum(use.size for use in five) == 642_816
  sizes = [use.output_size for use in inventory.kernels[:-1]]
  assert sizes == [(32, 32)] * 2 + [(16, 16)] * 2 + [(8, 8)] * 2
