"""Windows of a ring: read, priced, fitted and stored as they say."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import neural_epitome as ne
from neural_epitome.compression import compact_file, compact_reader, entropy_coding
from neural_epitome.cost import inventory, totals
from neural_epitome.epitome import fitting, plan_json
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.generators import (
  WindowedEpitome,
  WindowedEpitomeRule,
  windowed_epitome,
)
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.epitome.layers import EpitomeConv
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.errors import UserError


def read(ring, starts, scale, window, shape):
  """The definition, weight by weight."""
  kernel = np.zeros(shape, np.float32)
  for place in np.ndindex(*shape):
    block = tuple(i // w for i, w in zip(place, window, strict=True))
    inside = [i % w for i, w in zip(place, window, strict=True)]
    tap = int(np.ravel_multi_index(inside, window))
    kernel[place] = scale[place[-1]] * ring[(starts[block] + tap) % len(ring)]
  return kernel


@st.composite
def cases(draw):
  rank = draw(st.integers(0, 2))
  taps = tuple(draw(st.integers(1, 3)) for _ in range(rank))
  shape = (*taps, draw(st.integers(1, 7)), draw(st.integers(2, 5)))
  # Without the last extent a window has one output.
  window = tuple(
    draw(st.integers(1, size)) for size in shape[: draw(st.sampled_from([-1, None]))]
  )
  return shape, window, draw(st.booleans()), draw(st.integers(0, 99))


@pytest.mark.slow
@settings(max_examples=10)
@given(cases())
def test_a_kernel_is_what_its_windows_read(case):
  shape, window, scaled, seed = case
  size = int(np.prod(window))
  random = np.random.default_rng(seed)
  length = int(random.integers(size, int(np.prod(shape)) + 1))
  generator = WindowedEpitome(length, window, scaled)
  generator.check(shape)
  ring = random.normal(size=length)
  scale = random.normal(size=shape[-1]) if scaled else np.ones(shape[-1])
  tensors = {"ring": jnp.float32(ring)}
  tensors |= {"scale": jnp.float32(scale)} if scaled else {}
  assert tensors.keys() == generator.tensors(shape).keys()
  starts = random.integers(length, size=generator.offsets(shape)["start"])
  extents = generator.extents(shape)
  assert extents == (*window, 1)[: len(shape)]
  expected = read(ring.astype("f4"), starts, scale.astype("f4"), extents, shape)
  for given_starts in (jnp.int32(starts), jnp.float32(starts)):
    generated = generator.generate(tensors, {"start": given_starts}, shape)
    np.testing.assert_allclose(generated, expected, atol=1e-6)


@pytest.mark.slow
def test_a_start_between_two_cells_blends_their_windows_and_learns():
  generator, shape = WindowedEpitome(30, (3, 1)), (3, 4, 5)
  tensors = {"ring": jax.random.normal(jax.random.key(0), (30,)), "scale": jnp.ones(5)}
  starts = generator.first_offsets(shape)["start"]

  def at(share):
    return generator.generate(tensors, {"start": jnp.float32(starts) + share}, shape)

  np.testing.assert_allclose(at(0.25), 0.75 * at(0.0) + 0.25 * at(1.0), atol=1e-6)
  slope = jax.jacfwd(at)(0.25)
  np.testing.assert_allclose(slope, at(1.0) - at(0.0), atol=1e-5)


def test_starts_are_priced_at_the_bits_that_tell_the_cells_apart():
  use = KernelUse("a/kernel", (3, 3, 8, 12), 1, (1, 1), (6, 6), (6, 6))
  plan = plans.make([use], {"a/kernel": WindowedEpitome(300, (3, 3, 1))})
  price = totals.price(plan, inventory.Inventory((use,), {}))
  # A ring and scales in float32; 8 * 12 starts of 9 bits.
  assert price.stored_bytes == 4 * (300 + 12) + 8 * 12 * 9 // 8
  assert price.stored_params == 300 + 12 + 8 * 12


def test_a_window_goes_where_it_differs_least():
  random = np.random.default_rng(0)
  generator, shape = WindowedEpitome(50, (3, 1)), (3, 6, 4)
  ring, scale = random.normal(size=50), random.normal(size=4)
  tensors = {"ring": np.float32(ring), "scale": np.float32(scale)}
  kernel = random.normal(size=shape).astype("f4")
  importance = random.uniform(0.1, 2.0, 6).astype("f4")
  rerouted = generator.reroute(kernel, tensors, {}, importance)["start"]
  windows = ring[(np.arange(50)[:, None] + np.arange(3)) % 50]
  for i, o in np.ndindex(6, 4):
    errors = np.sum((kernel[:, i, o] - scale[o] * windows) ** 2, 1)
    assert errors[int(rerouted[0, i, o])] <= errors.min() + 1e-5


def test_a_kernel_that_a_ring_made_is_fitted_far_better_than_by_chance():
  random = np.random.default_rng(1)
  use = KernelUse("a/kernel", (3, 3, 16, 24))
  plan = plans.make([use], {"a/kernel": WindowedEpitome(128, (3, 3, 1))})
  kernels = {"a/kernel": random.normal(size=use.shape).astype("f4")}
  first = plan.kernels["a/kernel"].generator.first_offsets(use.shape)
  errors = []
  for rounds in (range(0), range(15)):
    tensors, maps = fitting.search(plan, kernels, {"a/kernel": first}, rounds)
    generated = fitting.generate(plan, tensors, maps, "a/kernel")
    errors.append(fitting.relative_error(kernels["a/kernel"], generated) ** 2)
  # 7 bits for 9 weights: no code of normal weights is below 2^(-14/9) = 0.34.
  assert errors[0] > 0.8
  assert 0.34 < errors[1] < 0.5


@pytest.mark.slow
def test_one_ring_serves_kernels_of_every_shape_and_the_file_holds_starts(tmp_path):
  random = np.random.default_rng(2)
  tree = {
    "conv": {"kernel": random.normal(size=(3, 3, 8, 16)).astype("f4")},
    "dense": {"kernel": random.normal(size=(33, 20)).astype("f4")},
  }
  rule = WindowedEpitomeRule(length=200)
  small = ne.compress(tree, "1x", rule=rule, bits=8, fit="full", quiet=True)
  assert set(small.compact) == {"ring", "conv/scale", "dense/scale"}
  small.save(tmp_path / "small.safetensors")
  size = (tmp_path / "small.safetensors").stat().st_size
  assert size == small.totals.stored_bytes
  network = compact_reader.read(tmp_path / "small.safetensors")
  expanded = small.expand(small.compact)
  for name in tree:
    kernel = network.kernel(f"{name}/kernel")
    np.testing.assert_allclose(kernel, expanded[name]["kernel"], atol=1e-6)


@pytest.mark.parametrize("coded", [False, True, "in context"])
@pytest.mark.parametrize(
  ("window", "scaled"), [((3, 3, 1), True), ((1, 1, 3, 4), False), ((2, 1, 2, 1), True)]
)
def test_a_file_of_one_kernel_is_as_large_as_it_is_priced(
  tmp_path, window, scaled, coded
):
  random, use = np.random.default_rng(3), KernelUse("a/kernel", (3, 3, 8, 14))
  generator = WindowedEpitome(90, window, scaled)
  starts = (random.random(generator.offsets(use.shape)["start"]) ** 4 * 90).astype("i4")
  if coded:
    axis = 2 if coded == "in context" else None
    size = len(entropy_coding.encode(starts, 90, axis))
    generator = dataclasses.replace(generator, coded_bytes=size, context=axis)
  plan = plans.make([use], {"a/kernel": generator}).narrowed(8)
  assert plan == plan_json.from_json(plan_json.to_json(plan))
  params = {
    name: random.normal(size=spec.shape).astype("f4")
    for name, spec in plan.tensors.items()
  }
  path = tmp_path / "one.safetensors"
  offsets = {"a/kernel": {"start": starts}}
  compact_file.write_numbers(path, plan, params, offsets)
  assert path.stat().st_size == compact_file.file_bytes(plan, {})
  # Names and the plan come beside the numbers, whose bytes are the price.
  price = totals.price(plan, inventory.Inventory((use,), {}))
  factors = 2 if coded else 4
  packed = generator.offset_bytes("start", use.shape)
  assert price.stored_bytes == 90 + 4 + factors * 14 * scaled + packed
  network = compact_reader.read(path)
  np.testing.assert_array_equal(network.offsets("a/kernel")["start"], starts)
  tensors = {k.rpartition("/")[2]: v for k, v in plan.rounded(params).items()}
  generated = generator.generate(tensors, {"start": starts}, use.shape)
  np.testing.assert_allclose(
    network.kernel("a/kernel"), generated, rtol=1e-5, atol=1e-6
  )
  again = ne.load_compressed(path)
  assert again.plan == plan
  np.testing.assert_allclose(
    again.expand(again.compact)["a"]["kernel"], generated, rtol=1e-5, atol=1e-6
  )


@pytest.mark.parametrize("scaled", [False, True])
def test_a_window_over_outputs_goes_where_it_differs_least(scaled):
  random = np.random.default_rng(4)
  generator, shape = WindowedEpitome(50, (1, 2, 3), scaled), (3, 6, 7)
  ring, scale = random.normal(size=50), random.uniform(0.5, 2.0, 7)
  tensors = {"ring": np.float32(ring), "scale": np.float32(scale)}
  kernel = random.normal(size=shape).astype("f4")
  importance = random.uniform(0.1, 2.0, 6).astype("f4")
  rerouted = generator.reroute(kernel, tensors, {}, importance)["start"]

  def error(starts):
    factors = scale if scaled else np.ones(7)
    left = kernel - read(ring, starts.astype(int), factors, (1, 2, 3), shape)
    return np.sum(importance[:, None] * left**2)

  least = error(rerouted)
  for block in np.ndindex(*rerouted.shape):
    for start in range(50):
      other = rerouted.copy()
      other[block] = start
      assert error(other) >= least - 1e-4


def test_starts_outside_of_the_ring_are_refused():
  metadata = {
    "plan": {
      "kernels": {
        "kernel": {
          "shape": [4, 2],
          "generator": {"kind": "windowed_epitome", "length": 5, "window": [2]},
          "tensors": {"ring": "ring", "scale": "scale"},
        }
      },
      "tensors": {},
    }
  }
  tensors = {"ring": np.ones(5, "f4"), "scale": np.ones(2, "f4")}
  tensors["offsets.start"] = np.packbits([1, 1, 1] * 4)
  with pytest.raises(compact_reader.CompactError, match="outside of the ring"):
    compact_reader.Network(tensors, metadata).kernel("kernel")


def test_a_layer_refuses_to_learn_starts_by_a_network():
  layer = EpitomeConv(
    12,
    (3, 3),
    generator=WindowedEpitome(40, (3, 3, 1)),
    indices=IndexOptions(source="learner"),
  )
  with pytest.raises(UserError, match=r"source=learner.*free or fixed"):
    layer.init(jax.random.key(0), jnp.ones((1, 5, 5, 8)))


@pytest.mark.parametrize(
  ("generator", "words"),
  [
    (WindowedEpitome(40, (3, 3)), "window"),
    (WindowedEpitome(40, (3, 3, 9)), "window"),
    (WindowedEpitome(40, (1, 1, 2, 13)), "window"),
    (WindowedEpitome(8, (3, 3, 1)), "length=8"),
    (WindowedEpitome(10**6, (3, 3, 1)), "length=1000000"),
  ],
)
def test_what_does_not_fit_a_kernel_says_why(generator, words):
  with pytest.raises(UserError, match=words):
    generator.check((3, 3, 8, 12))


def test_a_ring_of_more_numbers_than_a_file_codes_is_refused_with_coded_starts():
  assert windowed_epitome.MOST_CODED == compact_reader.MOST_SYMBOLS
  shape, length = (3, 3, 64, 64), windowed_epitome.MOST_CODED + 1
  WindowedEpitome(length, (3, 3, 1)).check(shape)
  WindowedEpitome(length - 1, (3, 3, 1), coded_bytes=9).check(shape)
  with pytest.raises(UserError, match="too long for coded starts: 16384"):
    WindowedEpitome(length, (3, 3, 1), coded_bytes=9).check(shape)
  with pytest.raises(UserError, match="context=4"):
    WindowedEpitome(99, (3, 3, 1), coded_bytes=9, context=4).check(shape)


def test_a_ring_that_is_longer_than_a_kernel_is_named():
  uses = [KernelUse("a/kernel", (3, 3, 8, 12)), KernelUse("b/kernel", (4, 4))]
  with pytest.raises(UserError, match=r"length=2048.*a/kernel"):
    WindowedEpitomeRule().together(uses, 0)
