"""Fitting: exact where it can be, and the best there is elsewhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_epitome.epitome import fitting, matching, sampling
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.generators import (
  ChannelEpitome,
  Dense,
  Epitome,
  Hashed,
  LowRank,
  SharedEpitome,
  WSNet,
)
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.errors import UserError

SHAPE = (3, 3, 8, 12)
GENERATORS = {
  "dense": Dense(),
  "tile": Epitome((3, 3, 8, 5), "tile"),
  "factorised": Epitome((3, 3, 4, 5)),
  "blockwise_scaled": Epitome((3, 3, 4, 4), "blockwise", scaled=True),
  "channel_output": ChannelEpitome(4),
  "channel_input": ChannelEpitome(3, "input"),
  "hashed": Hashed(40, seed=7),
  "wsnet": WSNet(5.0),
  "low_rank": LowRank(3),
  "shared": SharedEpitome(47, start=11, block=40),
}


def network(generator, paths=("a/kernel",), **shared):
  """A plan of one generator for every kernel, and offsets of whole cells."""
  uses = [KernelUse(path, SHAPE) for path in paths]
  plan = plans.make(uses, dict.fromkeys(paths, generator), shared or None)
  random = np.random.default_rng(3)
  cells = generator.start_cells(SHAPE)
  offsets = {
    path: {
      axis: random.integers(0, cells[axis][0], size).astype(np.float32)
      for axis, size in generator.offsets(SHAPE).items()
    }
    for path in paths
  }
  return plan, {path: axes for path, axes in offsets.items() if axes}


def drawn(shapes, seed=0):
  random = np.random.default_rng(seed)
  return {
    name: random.normal(size=spec.shape).astype(np.float32)
    for name, spec in shapes.items()
  }


@pytest.mark.parametrize("name", GENERATORS)
def test_a_kernel_that_was_generated_is_fitted_exactly(name):
  plan, offsets = network(GENERATORS[name])
  kernel = fitting.generate(plan, drawn(plan.tensors), offsets, "a/kernel")
  tensors = fitting.fit(plan, {"a/kernel": kernel}, offsets, rounds=12)
  assert {k: v.shape for k, v in tensors.items()} == {
    k: v.shape for k, v in plan.tensors.items()
  }
  generated = fitting.generate(plan, tensors, offsets, "a/kernel")
  assert fitting.relative_error(kernel, generated) < 1e-4


@pytest.mark.parametrize("name", ["tile", "factorised", "hashed", "wsnet"])
def test_of_one_tensor_no_change_comes_nearer_to_any_kernel(name):
  generator = GENERATORS[name]
  plan, offsets = network(generator)
  kernel = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
  tensors = fitting.fit(plan, {"a/kernel": kernel}, offsets)
  [role] = plan.kernels["a/kernel"].tensors
  [tensor] = tensors.values()

  def error(tensor):
    generated = generator.generate({role: tensor}, offsets.get("a/kernel", {}), SHAPE)
    return jnp.sum((generated - kernel) ** 2)

  # Quadratic: a gradient of zero is the minimum.
  np.testing.assert_allclose(jax.grad(error)(jnp.asarray(tensor)), 0.0, atol=1e-3)


IMPORTANCE = np.exp(np.random.default_rng(9).normal(size=SHAPE[-2])).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["factorised", "hashed", "wsnet"])
def test_with_importance_no_change_comes_nearer_to_what_a_layer_answers(name):
  generator = GENERATORS[name]
  plan, offsets = network(generator)
  kernel = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
  every = np.broadcast_to(IMPORTANCE[:, None], SHAPE)
  # Any factor of all of it changes nothing.
  importance = {"a/kernel": 7.0 * IMPORTANCE}
  tensors = fitting.fit(plan, {"a/kernel": kernel}, offsets, importance=importance)
  [role] = plan.kernels["a/kernel"].tensors
  [tensor] = tensors.values()

  def error(tensor):
    generated = generator.generate({role: tensor}, offsets.get("a/kernel", {}), SHAPE)
    return jnp.sum(jnp.asarray(every) * (generated - kernel) ** 2)

  np.testing.assert_allclose(jax.grad(error)(jnp.asarray(tensor)), 0.0, atol=1e-3)
  even = fitting.fit(plan, {"a/kernel": kernel}, offsets)
  assert np.max(np.abs(jax.grad(error)(jnp.asarray(*even.values())))) > 0.1


def weighted_error(plan, kernel, importance, tensors, offsets):
  root = np.sqrt(importance)[:, None]
  generated = fitting.generate(plan, tensors, offsets, "a/kernel")
  return fitting.relative_error(kernel * root, generated * root)


@pytest.mark.parametrize("name", GENERATORS)
def test_a_search_with_importance_errs_where_it_matters_less(name):
  plan, offsets = network(GENERATORS[name])
  kernel = np.random.default_rng(5).normal(size=SHAPE)
  kernels, importance = {"a/kernel": kernel}, {"a/kernel": IMPORTANCE}
  even = fitting.search(plan, kernels, offsets, range(10))
  weighted = fitting.search(plan, kernels, offsets, range(10), importance=importance)
  errors = [
    weighted_error(plan, kernel, IMPORTANCE, *pair) for pair in (even, weighted)
  ]
  # Numbers that are read at one input alone do not depend on it.
  if name in ("dense", "tile"):
    assert errors[1] == pytest.approx(errors[0], rel=1e-5, abs=1e-6)
  else:
    assert errors[1] < errors[0]


def test_inputs_of_no_importance_may_be_anything_and_are_finite():
  importance = np.ones(SHAPE[-2], np.float32)
  importance[1:] = 0.0
  kernel = np.random.default_rng(5).normal(size=SHAPE).astype(np.float32)
  plan, offsets = network(LowRank(9))
  tensors = fitting.fit(
    plan, {"a/kernel": kernel}, offsets, importance={"a/kernel": importance}
  )
  generated = fitting.generate(plan, tensors, offsets, "a/kernel")
  assert np.isfinite(generated).all()
  np.testing.assert_allclose(generated[:, :, :1], kernel[:, :, :1], atol=1e-3)


def test_kernels_that_share_a_tensor_are_fitted_by_their_relative_errors():
  shared = {"epitome": "bank"}
  plan, offsets = network(
    Epitome((3, 3, 8, 12), "tile"), ("a/kernel", "b/kernel"),
    **{"a/kernel": shared, "b/kernel": shared},
  )  # fmt: skip
  ones = np.ones(SHAPE, np.float32)
  tensors = fitting.fit(plan, {"a/kernel": ones, "b/kernel": 3 * ones}, offsets)
  # The minimum of (x - 1)^2 / 1 + (x - 3)^2 / 9.
  np.testing.assert_allclose(tensors["bank"], 1.2, rtol=1e-5)


@pytest.mark.parametrize(
  "name", ["factorised", "blockwise_scaled", "channel_output", "channel_input"]
)
def test_a_search_comes_nearer_than_the_routing_it_starts_from(name):
  plan, offsets = network(GENERATORS[name])
  kernels = {"a/kernel": np.random.default_rng(5).normal(size=SHAPE)}

  def error(tensors, offsets):
    generated = fitting.generate(plan, tensors, offsets, "a/kernel")
    return fitting.relative_error(kernels["a/kernel"], generated)

  before = error(fitting.fit(plan, kernels, offsets), offsets)
  tensors, moved = fitting.search(plan, kernels, offsets, range(10))
  assert error(tensors, moved) < before
  for axis, size in plan.kernels["a/kernel"].generator.offsets(SHAPE).items():
    value, cells = moved["a/kernel"][axis], GENERATORS[name].start_cells(SHAPE)[axis]
    assert value.shape == size
    assert (value == np.round(value)).all()
    assert ((value >= 0) & (value < cells[0])).all()


def distance(plan, kernels, tensors, offsets):
  """What a fit minimises: the sum of squared relative errors."""
  return sum(
    fitting.relative_error(kernel, fitting.generate(plan, tensors, offsets, path)) ** 2
    for path, kernel in kernels.items()
  )


@pytest.mark.parametrize(
  "name", ["factorised", "blockwise_scaled", "channel_output", "channel_input"]
)
def test_more_rounds_of_a_search_never_end_farther_away(name):
  plan, offsets = network(GENERATORS[name], ("a/kernel", "b/kernel"))
  random = np.random.default_rng(6)
  kernels = {path: random.normal(size=SHAPE) for path in plan.kernels}
  errors = [
    distance(plan, kernels, *fitting.search(plan, kernels, offsets, range(rounds)))
    for rounds in range(7)
  ]
  assert errors == sorted(errors, reverse=True)


def test_a_search_that_goes_astray_ends_where_it_was_nearest(monkeypatch):
  plan, offsets = network(GENERATORS["channel_output"])
  kernels = {"a/kernel": np.random.default_rng(5).normal(size=SHAPE)}
  rounds, reroute = [], ChannelEpitome.reroute

  def astray(self, kernel, tensors, offsets, importance):
    rounds.append(reroute(self, kernel, tensors, offsets, importance))
    all_to_one = {axis: np.zeros_like(value) for axis, value in offsets.items()}
    return rounds[-1] if len(rounds) < 3 else all_to_one

  nearest = distance(plan, kernels, *fitting.search(plan, kernels, offsets, range(2)))
  monkeypatch.setattr(ChannelEpitome, "reroute", astray)
  searched = fitting.search(plan, kernels, offsets, range(5))
  assert len(rounds) == 5
  assert distance(plan, kernels, *searched) <= nearest + 1e-6


def test_channels_that_are_copies_up_to_sign_and_size_are_found():
  random = np.random.default_rng(0)
  cells = random.normal(size=(1, 1, 16, 5))
  order = random.permutation(np.repeat(np.arange(5), 8))
  kernel = (cells[..., order] * random.normal(size=40)).astype(np.float32)
  use = KernelUse("a/kernel", kernel.shape)
  plan = plans.make([use], {"a/kernel": ChannelEpitome(5)})
  start = {"a/kernel": {"output": np.zeros(40, np.float32)}}
  kernels = {"a/kernel": kernel}
  tensors, offsets = fitting.search(plan, kernels, start, range(20))
  generated = fitting.generate(plan, tensors, offsets, "a/kernel")
  assert fitting.relative_error(kernel, generated) < 1e-3


@settings(max_examples=10)
@given(
  st.tuples(st.integers(1, 2), st.integers(2, 7), st.integers(2, 7)),
  st.tuples(st.integers(1, 4), st.integers(1, 4)),
  st.booleans(),
  st.booleans(),
  st.integers(0, 99),
)
def test_a_block_goes_where_it_is_nearest_to_what_fits_the_others(
  shape, cells, scaled, is_even, seed
):
  cells = tuple(min(pair) for pair in zip(cells, shape[1:], strict=True))
  random = np.random.default_rng(seed)
  kernel = random.normal(size=shape)
  blocks = sampling.replica_counts(shape, (shape[0], *cells))
  offsets = {axis: np.zeros(blocks, np.float32) for axis in ("input", "output")}
  scale = np.ones(blocks) if scaled else None
  importance = np.ones(shape[1]) if is_even else 0.1 + random.random(shape[1])
  starts = matching.starts(kernel, cells, offsets, scale, importance)
  # The first block meets all others where they started.
  above, below = np.zeros((shape[0], *cells)), np.zeros(cells)
  for r, c in list(np.ndindex(blocks))[1:]:
    part = kernel[:, r * cells[0] :, c * cells[1] :][:, : cells[0], : cells[1]]
    of_part = importance[r * cells[0] :][: cells[0], None]
    above[:, : part.shape[1], : part.shape[2]] += part * of_part
    below[: part.shape[1], : part.shape[2]] += of_part
  epitome = above / np.where(below, below, 1)
  block, of_block = kernel[:, : cells[0], : cells[1]], importance[: cells[0], None]

  def error(start):
    read = np.roll(epitome, (-start[0], -start[1]), (1, 2))
    met, own = np.vdot(read * of_block, block), np.vdot(read * of_block, read)
    factor = met / max(own, 1e-30) if scaled else 1.0
    return np.sum(of_block * (block - factor * read) ** 2)

  chosen = int(starts["input"][0, 0]), int(starts["output"][0, 0])
  np.testing.assert_allclose(error(chosen), min(map(error, np.ndindex(cells))))


def test_blocks_that_are_the_same_but_shifted_are_put_in_step():
  random = np.random.default_rng(0)
  epitome = random.normal(size=(3, 3, 6, 5)).astype(np.float32)
  use = KernelUse("a/kernel", (3, 3, 18, 20))
  for routing in ("factorised", "blockwise"):
    plan = plans.make([use], {"a/kernel": Epitome(epitome.shape, routing)})
    generator = plan.kernels["a/kernel"].generator
    hidden = {
      axis: random.integers(0, 5, size).astype(np.float32)
      for axis, size in generator.offsets(use.shape).items()
    }
    kernel = fitting.generate(
      plan, {"a/epitome": epitome}, {"a/kernel": hidden}, "a/kernel"
    )
    start = {"a/kernel": {axis: np.zeros_like(v) for axis, v in hidden.items()}}
    kernels = {"a/kernel": kernel}
    tensors, offsets = fitting.search(plan, kernels, start, range(10))
    generated = fitting.generate(plan, tensors, offsets, "a/kernel")
    assert fitting.relative_error(kernel, generated) < 1e-4


def test_what_cannot_be_fitted_is_refused():
  plan, offsets = network(Epitome((3, 3, 4, 6)))
  offsets["a/kernel"]["output"] = offsets["a/kernel"]["output"] + 0.5
  kernels = {"a/kernel": np.ones(SHAPE, np.float32)}
  with pytest.raises(ValueError, match="whole cells"):
    fitting.fit(plan, kernels, offsets)
  plan, offsets = network(WSNet(1.3, 2, 2))
  with pytest.raises(UserError, match="density"):
    fitting.fit(plan, kernels, offsets)
