"""One set of weights computes every choice, as the network that it stands for does."""

import dataclasses
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_epitome import models
from neural_epitome.cost import inventory
from neural_epitome.errors import UserError
from neural_epitome.spaces import chain_generators, slicing
from neural_epitome.spaces.arch import Arch
from neural_epitome.spaces.supernet import SupernetConfig
from tests.spaces.tiny import SPACE

CLASSES = 3
IMAGES = jax.random.normal(jax.random.key(0), (6, 8, 8, 1))
KEYS = jax.random.split(jax.random.key(3), 6)


def supernet(**options):
  return models.create(SupernetConfig(space=SPACE, **options), CLASSES)


# One worker initialises the supernet that they share.
pytestmark = pytest.mark.xdist_group("supernet")


@pytest.fixture(scope="module")
def variables():
  """Of a supernet, no number of which is as it starts."""
  tree = jax.jit(supernet().init)(jax.random.key(1), IMAGES)

  def moved(path, leaf):
    key = jax.random.key(zlib.crc32(str(path).encode()))
    noise = jax.random.normal(key, leaf.shape)
    return jnp.abs(leaf + 0.2 * noise) if "var" in str(path) else leaf + 0.2 * noise

  return jax.tree_util.tree_map_with_path(moved, tree)


@jax.jit
def trained_mode(variables):
  return supernet().apply(
    variables, IMAGES, train=True, keys=KEYS, mutable=["batch_stats"]
  )


@jax.jit
def evaluated(variables):
  return supernet().apply(variables, IMAGES, train=False)


def plain(arch):
  config = SPACE.network(arch)
  listing = inventory.take(models.create(config, CLASSES), IMAGES.shape[1:])
  plan = chain_generators.of_choice(SPACE, arch, CLASSES).plan(listing)
  return models.create(config, CLASSES, plan=plan)


@st.composite
def choices(draw):
  """Any choice, gene by gene, so that a failing one shrinks to the least of it."""
  fields = {}
  for field, genes in SPACE.largest.to_json().items():
    count = np.size(genes)
    allowed = SPACE.choices[field]
    values = [draw(st.sampled_from(allowed[number])) for number in range(count)]
    fields[field] = np.array(values, np.int32).reshape(np.shape(genes))
  return SPACE.canonical(Arch(**fields))


# Every small network is compiled, operation by operation.
@pytest.mark.slow
@settings(max_examples=8)
@given(choices())
def test_masked_equals_sliced(variables, arch):
  chosen = slicing.with_choice(variables, SPACE, arch)
  sliced = slicing.slice_variables(variables, SPACE, arch)
  small = plain(arch)
  np.testing.assert_allclose(
    evaluated(chosen), small.apply(sliced, IMAGES, train=False), atol=1e-5, rtol=1e-5
  )
  # In training mode too, and what its batch norms then remember.
  logits, updated = trained_mode(chosen)
  expected, of_small = small.apply(sliced, IMAGES, train=True, mutable=["batch_stats"])
  np.testing.assert_allclose(logits, expected, atol=1e-5, rtol=1e-5)
  remembered = slicing.slice_variables(
    {"params": variables["params"], **updated}, SPACE, arch
  )
  for one, other in zip(
    jax.tree.leaves(remembered["batch_stats"]),
    jax.tree.leaves(of_small["batch_stats"]),
    strict=True,
  ):
    np.testing.assert_allclose(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@given(choices(), st.integers(0, 100))
def test_a_width_is_a_prefix_of_the_channels(variables, arch, seed):
  """What stands behind it may be anything; behind none, the whole block."""
  chosen = slicing.with_choice(variables, SPACE, arch)

  def moved(path, leaf):
    names = [key.key for key in path]
    if not names[1].startswith("block_"):
      return leaf
    width = int(arch.width[int(names[1].removeprefix("block_"))])
    if width and (names[2].startswith("se") or names[2] == "project_norm"):
      return leaf
    axis = -2 if names[2] == "project" else -1
    count = leaf.shape[axis]
    behind = np.arange(count) >= width
    shape = [1] * leaf.ndim
    shape[axis] = count
    noise = np.random.default_rng(seed).normal(size=leaf.shape).astype(np.float32)
    noise = np.abs(noise) if names[0] == "batch_stats" else noise
    return leaf + noise * behind.reshape(shape)

  parts = {name: chosen[name] for name in ("params", "batch_stats")}
  others = chosen | jax.tree_util.tree_map_with_path(moved, parts)
  np.testing.assert_allclose(evaluated(others), evaluated(chosen), atol=1e-5)


@pytest.mark.slow
@given(choices())
def test_no_choice_loses_sight_of_its_input(variables, arch):
  logits = evaluated(slicing.with_choice(variables, SPACE, arch))
  assert len(np.unique(np.asarray(logits[:, 0]))) == len(IMAGES)


@pytest.mark.slow
def test_the_sliced_variables_are_those_of_the_network(variables):
  for arch in [*SPACE.sample(4, count=3), SPACE.largest, SPACE.smallest]:
    shapes = jax.eval_shape(plain(arch).init, jax.random.key(0), IMAGES)
    sliced = slicing.slice_variables(variables, SPACE, arch)
    for name in ("params", "batch_stats"):
      assert jax.tree.map(np.shape, sliced[name]) == jax.tree.map(
        np.shape, shapes.get(name, {})
      )


@pytest.mark.slow
def test_an_image_is_computed_by_its_own_choice_whatever_the_others_have(variables):
  archs = SPACE.sample(2, count=len(IMAGES))
  many = jax.tree.map(lambda *leaves: jnp.stack(leaves), *archs)
  together = evaluated({**variables, "arch": {"arch": many}})
  for row, arch in enumerate(archs):
    # Bits are of a choice for the whole batch: kernels are rounded before.
    floats = dataclasses.replace(arch, bits=np.full_like(arch.bits, 32))
    alone = evaluated(slicing.with_choice(variables, SPACE, floats))
    np.testing.assert_allclose(together[row], alone[row], atol=1e-5)


@pytest.mark.slow
def test_copies_of_one_choice_are_that_choice_in_training_mode_too(variables):
  [arch] = SPACE.sample(8, count=1)
  one = dataclasses.replace(arch, bits=np.full_like(arch.bits, 32))
  copies = jax.tree.map(lambda leaf: jnp.stack([leaf] * len(IMAGES)), one)
  expected, stats = trained_mode(slicing.with_choice(variables, SPACE, one))
  copied, others = trained_mode({**variables, "arch": {"arch": copies}})
  np.testing.assert_allclose(copied, expected, atol=1e-5)
  sliced = [
    slicing.slice_variables({"params": variables["params"], **s}, SPACE, one)
    for s in (stats, others)
  ]
  for a, b in zip(*(jax.tree.leaves(s["batch_stats"]) for s in sliced), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.slow
def test_without_a_choice_the_largest_is_evaluated(variables):
  largest = slicing.with_choice(variables, SPACE, SPACE.largest)
  np.testing.assert_array_equal(evaluated(variables), evaluated(largest))


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["ordered_dropout", "single_path", "sandwich"])
def test_every_parameter_learns(variables, sampler):
  model = supernet(sampler=sampler, extremes=0.2)

  @jax.jit
  def gradients(params, keys):
    def loss(params):
      logits, _ = model.apply(
        {**variables, "params": params},
        IMAGES,
        train=True,
        keys=keys,
        mutable=["batch_stats"],
      )
      return jnp.mean(jnp.sin(logits))

    return jax.grad(loss)(params)

  total = None
  for step in range(12):
    keys = jax.random.split(jax.random.key(step), len(IMAGES))
    sizes = jax.tree.map(jnp.abs, gradients(variables["params"], keys))
    total = sizes if total is None else jax.tree.map(jnp.add, total, sizes)
  for path, leaf in jax.tree_util.tree_leaves_with_path(total):
    assert np.all(np.isfinite(leaf)), path
    assert np.any(leaf > 0), path


@pytest.mark.slow
def test_a_sandwich_has_the_largest_and_the_smallest_in_it(variables):
  logits, _ = supernet(sampler="sandwich").apply(
    variables, IMAGES, train=True, keys=KEYS, mutable=["batch_stats"]
  )
  assert logits.shape == (4, len(IMAGES), CLASSES)
  for row, arch in enumerate([SPACE.largest, SPACE.smallest]):
    floats = dataclasses.replace(arch, bits=np.full_like(arch.bits, 32))
    expected, _ = trained_mode(slicing.with_choice(variables, SPACE, floats))
    np.testing.assert_allclose(logits[row], expected, atol=1e-5)


@pytest.mark.slow
def test_one_path_is_the_same_for_all_images(variables):
  model = supernet(sampler="single_path")
  same = jnp.repeat(IMAGES[:1], len(IMAGES), axis=0)
  logits, _ = model.apply(
    variables, same, train=True, keys=KEYS, mutable=["batch_stats"]
  )
  np.testing.assert_allclose(logits, logits[:1].repeat(len(IMAGES), 0), atol=1e-6)


@pytest.mark.parametrize(
  ("options", "words"),
  [({"passes": 1}, r"model\.passes=1"), ({"extremes": 0.7}, r"model\.extremes=0\.7")],
)
def test_options_that_cannot_be_are_named(options, words):
  with pytest.raises(UserError, match=words):
    supernet(**options)
