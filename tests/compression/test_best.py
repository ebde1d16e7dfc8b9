"""`compress(rule="best")`: any tree in its budget, stored and read as it says."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

import neural_epitome as ne
from neural_epitome.compression import compact_reader
from neural_epitome.errors import UserError


def normal(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


class Small(nn.Module):
  """Kernels that go different ways."""

  @nn.compact
  def __call__(self, x):
    """(batch, height, width, channels) -> (batch, 10)."""
    x = nn.relu(nn.Conv(24, (3, 3))(x))
    x = nn.BatchNorm(use_running_average=True)(x)
    x = nn.Conv(24, (3, 3), feature_group_count=24)(x)
    return nn.Dense(10)(jnp.mean(x, (1, 2)))


def linen_tree():
  return Small().init(jax.random.key(0), jnp.ones((1, 6, 6, 16)))


def nnx_state():
  return nnx.state(nnx.Linear(48, 64, rngs=nnx.Rngs(0)), nnx.Param)


def checked(tree, small, budget, path):
  """The file is as large as it is told and no larger than it may be, and comes back."""
  small.save(path)
  assert os.path.getsize(path) == small.totals.stored_bytes <= budget
  expanded = small.expand(small.compact)
  assert jax.tree.structure(expanded) == jax.tree.structure(tree)
  for one, two in zip(jax.tree.leaves(expanded), jax.tree.leaves(tree), strict=True):
    assert (one.shape, one.dtype) == (two.shape, two.dtype)
  again = ne.load_compressed(path)
  assert again.totals == small.totals
  loaded = again.expand(again.compact)
  for name, value in compact_reader.read(path).parameters().items():
    keys, here = name.split("/"), loaded
    for key in keys:
      here = here[key]
    np.testing.assert_allclose(value, here, rtol=1e-5, atol=1e-7)
  for one, two in zip(jax.tree.leaves(loaded), jax.tree.leaves(expanded), strict=True):
    one, two = np.asarray(one, np.float32), np.asarray(two, np.float32)
    # Loaded, leaves of bfloat16 are float32.
    np.testing.assert_allclose(one, two, rtol=5e-3, atol=1e-5 * np.abs(two).max())
  again.save(path)
  assert os.path.getsize(path) == small.totals.stored_bytes


@pytest.mark.slow
@pytest.mark.parametrize("make", [linen_tree, nnx_state])
@pytest.mark.parametrize("budget", [6000, 12_000])
def test_a_tree_is_stored_in_its_budget(make, budget, tmp_path):
  tree = make()
  small = ne.compress(tree, f"{budget} B", rule="best", quiet=True)
  assert small.totals.stored_bytes > 0.8 * budget or max(small.errors.values()) < 0.01
  checked(tree, small, budget, tmp_path / "small.safetensors")


@pytest.mark.slow
def test_a_ratio_is_of_the_bytes_of_the_tree(tmp_path):
  tree = {"kernel": normal(3, 3, 24, 32), "bias": normal(32)}
  small = ne.compress(tree, "5x", rule="best", quiet=True)
  checked(tree, small, 4 * (9 * 24 * 32 + 32) // 5, tmp_path / "small.safetensors")


@pytest.mark.slow
def test_the_gradient_flows_through_what_is_stored():
  tree = {"kernel": normal(3, 3, 24, 32), "bias": normal(32)}
  small = ne.compress(tree, "8x", rule="best", quiet=True)
  assert small.plan.kernels["kernel"].generator.kind == "windowed_epitome"

  def loss(compact):
    kernel = small.expand(compact)["kernel"]
    return jnp.sum((kernel - tree["kernel"]) ** 2)

  before, slopes = jax.value_and_grad(loss)(small.compact)
  assert {"ring", "scale"} <= {name.rpartition("/")[2] for name in slopes}
  for name in slopes.keys() - {"bias"}:
    assert np.isfinite(slopes[name]).all()
    assert np.any(slopes[name] != 0)
  step = 1e-4
  after = loss({n: v - step * slopes[n] for n, v in small.compact.items()})
  assert after < before


KERNELS = {
  "zeros": np.zeros((16, 24), np.float32),
  "a constant": np.full((3, 3, 8, 12), 2.5, np.float32),
  "two by two": normal(2, 2),
  "one output": normal(3, 40, 1),
  "one input": normal(3, 3, 1, 40),
  "outputs of zeros": normal(32, 48) * (np.arange(48) > 9),
  "large": normal(32, 48) * np.float32(1e6),
  "larger": normal(32, 48) * np.float32(1e25),
  "small": normal(32, 48) * np.float32(1e-9),
  "float16": normal(32, 48).astype(np.float16),
  "bfloat16": jnp.asarray(normal(32, 48), jnp.bfloat16),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", KERNELS)
def test_any_kernel_comes_back_from_few_bytes_and_from_more(name, tmp_path):
  tree, errors = {"layer": {"kernel": KERNELS[name]}}, []
  full = np.asarray(KERNELS[name], np.float64)
  for budget in (1100, 2600):
    small = ne.compress(tree, f"{budget} B", rule="best", quiet=True)
    checked(tree, small, budget, tmp_path / "small.safetensors")
    expanded = np.asarray(small.expand(small.compact)["layer"]["kernel"], np.float64)
    errors.append(np.sum((expanded - full) ** 2) / max(np.sum(full**2), 1e-300))
  assert errors[0] < 0.7  # of zeros it is 1
  assert errors[1] <= min(errors[0], 1e-3)


@pytest.mark.slow
def test_float16_keeps_the_rest_where_it_can_and_integers_stay():
  tree = {
    "kernel": normal(32, 48),
    "bias": normal(48, seed=1),
    "large": np.full(5, 1e6, np.float32),
    "count": np.arange(5, dtype=np.int32),
  }
  small = ne.compress(tree, "4kB", rule="best", quiet=True)
  expanded = small.expand(small.compact)
  half = tree["bias"].astype(np.float16).astype(np.float32)
  np.testing.assert_array_equal(expanded["bias"], half)
  for name in ("large", "count"):
    np.testing.assert_array_equal(expanded[name], tree[name])


@pytest.mark.slow
def test_kept_kernels_are_the_rest():
  tree = {"a": {"kernel": normal(32, 48)}, "b": {"kernel": normal(32, 48, seed=1)}}
  small = ne.compress(tree, "6kB", rule="best", keep=["b/kernel"], quiet=True)
  assert list(small.plan.kernels) == ["a/kernel"]
  half = tree["b"]["kernel"].astype(np.float16).astype(np.float32)
  np.testing.assert_array_equal(small.expand(small.compact)["b"]["kernel"], half)


BEST = {"rule": "best"}


def refused(tree, budget="2x", **options):
  with pytest.raises(UserError) as caught:
    ne.compress(tree, budget, rule=options.pop("rule", "best"), quiet=True, **options)
  assert "\n" not in str(caught.value)
  return str(caught.value)


@pytest.mark.slow
def test_it_is_what_is_done_where_nothing_is_said():
  tree = {"layer": {"kernel": normal(64, 48)}}
  plans = [ne.compress(tree, "6x", quiet=True, **kind).plan for kind in ({}, BEST)]
  assert plans[0] == plans[1]


@pytest.mark.parametrize(
  "options",
  [{"bits": 8}, {"fit": "full"}, {"allocation": 0.5}, {"importance": {}}],
)
def test_what_is_of_rules_is_refused_with_the_remedy(options):
  [name] = options
  told = refused({"layer": {"kernel": normal(64, 48)}}, **options)
  assert told.startswith(f"{name}= is of a rule, as rule=ne.ChannelEpitomeRule()")


@pytest.mark.slow
def test_the_smallest_file_within_a_drop_is_found():
  tree = {"a": {"kernel": normal(64, 96)}, "b": {"kernel": normal(96, 64, seed=1)}}

  def score(made):
    lost = [np.sum(np.square(made[k]["kernel"] - tree[k]["kernel"])) for k in tree]
    return -100 * float(lost[0] + 0.1 * lost[1]) / tree["a"]["kernel"].size

  files = []
  for max_drop in (1.0, 10.0):
    small = ne.compress(tree, evaluate=score, max_drop=max_drop, quiet=True)
    drop = -score(small.expand(small.compact))
    assert 0.5 * max_drop < drop <= max_drop
    files.append(small.totals.stored_bytes)
  assert files[1] < 0.8 * files[0]


def test_an_aim_is_either_bytes_or_a_drop():
  tree = {"layer": {"kernel": normal(4, 4)}}
  assert "Give a budget" in refused(tree, None)
  assert "one of them" in refused(tree, "2x", max_drop=1.0, evaluate=lambda _: 0.0)
  assert "needs evaluate=" in refused(tree, None, max_drop=1.0)
  assert "must be a number" in refused(tree, None, max_drop=-1.0, evaluate=len)
  rule = ne.ChannelEpitomeRule()
  assert "rule='best'" in refused(tree, None, rule=rule, max_drop=1.0)
  assert "needs a budget" in refused(tree, None, rule=rule)


def test_what_cannot_be_done_is_one_line():
  tree = {"layer": {"kernel": normal(4, 4)}}
  assert "rule='bad' must be 'best'" in refused(tree, rule="bad")
  assert "rule=None must be 'best'" in refused(tree, rule=None)
  assert "budget='3 apples' must be bytes of a file" in refused(tree, "3 apples")
  assert "bytes of a file" in refused(tree, "20M madds")
  assert "the smallest file" in refused(tree, "20 B")
  assert "no kernel to compress" in refused({"bias": normal(4)})
  assert "no kernel to compress" in refused(tree, keep=["*"])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("rule", ["best", ne.ChannelEpitomeRule()])
@pytest.mark.parametrize("name", ["kernel", "bias"])
def test_values_that_are_not_finite_are_named(value, rule, name):
  tree = {"layer": {"kernel": normal(16, 8), "bias": normal(8)}}
  tree["layer"][name][..., 3] = value
  assert refused(tree, rule=rule).startswith(f"layer/{name} has values")


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["best", ne.ChannelEpitomeRule()])
def test_a_leaf_that_is_named_as_a_tensor_of_a_kernel_stays_what_it_is(rule, tmp_path):
  names = ("scale", "ring", "epitome", "scale_")
  tree = {"layer": {"kernel": normal(64, 48)}}
  tree["layer"] |= {name: normal(7, seed=i) for i, name in enumerate(names)}
  bits = {} if rule == "best" else {"bits": 8}
  small = ne.compress(tree, "6x", rule=rule, quiet=True, **bits)
  checked(tree, small, 10**9, tmp_path / "small.safetensors")
  layer = small.expand(small.compact)["layer"]
  for name in names:
    np.testing.assert_allclose(layer[name], tree["layer"][name], rtol=1e-3)
  difference = np.linalg.norm(layer["kernel"] - tree["layer"]["kernel"])
  error = difference / np.linalg.norm(tree["layer"]["kernel"])
  assert error == pytest.approx(small.errors["layer/kernel"], rel=0.05)
