"""`compress`: trees of models that this project did not write, stored and trained."""

import importlib
import os
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import nnx

import neural_epitome as ne
from neural_epitome.compression import compact_reader, trees
from neural_epitome.epitome.generators import (
  EpitomeRule,
  HashedRule,
  LowRankRule,
  QuantisedRule,
  SharedEpitomeRule,
)
from neural_epitome.errors import UserError

CHANNELS = ne.ChannelEpitomeRule()
RULES = {
  "channels": CHANNELS,
  "tile": EpitomeRule(routing="tile"),
  "shared": SharedEpitomeRule(),
  "hashed": HashedRule(),
  "low_rank": LowRankRule(),
}


def foreign(name):
  """A module of another package; how it warns is its own affair."""
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    return pytest.importorskip(name) and importlib.import_module(name)


def initialised(module, *inputs):
  """Its variables, drawn without compiling its initialisers."""
  shapes = jax.eval_shape(module.init, jax.random.key(0), *inputs)
  random = np.random.default_rng(0)

  def drawn(path, leaf):
    fan = max(1, np.prod(leaf.shape[:-1]))
    value = random.normal(size=leaf.shape) / np.sqrt(fan)
    return (abs(value) if path[-1].key == "var" else value).astype(np.float32)

  return jax.tree_util.tree_map_with_path(drawn, shapes)


def resnet():
  """ResNet-18 of the package jax-resnet, at a quarter of its width."""
  jax_resnet = foreign("jax_resnet")
  model = jax_resnet.ResNet18(n_classes=10, hidden_sizes=(16, 32, 64, 128))
  images = jnp.ones((2, 32, 32, 3))
  return model, initialised(model, images), (images,)


def bert():
  """A BERT of the package transformers, two of its layers."""
  bert = foreign("transformers.models.bert.modeling_flax_bert")
  configuration = foreign("transformers.models.bert.configuration_bert")
  config = configuration.BertConfig(
    vocab_size=500, hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
    intermediate_size=128, max_position_embeddings=32,
  )  # fmt: skip
  model = bert.FlaxBertModule(config)
  words = jnp.ones((2, 8), jnp.int32)
  inputs = (words, words, words, words, None)
  return model, initialised(model, *inputs), inputs


class Attention(nn.Module):
  """Kernels of three axes, one of them a 1-D convolution's."""

  @nn.compact
  def __call__(self, x):
    """(batch, time, features) -> (batch, time, features)."""
    x = nn.Conv(16, (5,), dtype=jnp.float32, name="convolution")(x)
    return nn.MultiHeadDotProductAttention(num_heads=4, qkv_features=32)(x, x)


class Blocks(nnx.Module):
  """Layers in a list, an embedding."""

  def __init__(self, rngs):
    self.words = nnx.Embed(64, 16, rngs=rngs)
    layers = [nnx.Linear(16, 16, rngs=rngs) for _ in range(2)]
    self.layers = nnx.List(layers)
    self.attention = nnx.MultiHeadAttention(4, 16, decode=False, rngs=rngs)

  def __call__(self, words):
    """(batch, time) -> (batch, time, features)."""
    x = self.words(words)
    for layer in self.layers:
      x = nnx.relu(layer(x))
    return self.attention(x)


def same_form(tree, other):
  assert jax.tree.structure(tree) == jax.tree.structure(other)
  for one, two in zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True):
    assert (one.shape, one.dtype) == (two.shape, two.dtype)


CASES = [(resnet, "channels"), *((bert, name) for name in RULES)]


@pytest.mark.slow
@pytest.mark.parametrize(("model", "name"), CASES)
def test_a_foreign_model_comes_back_from_what_is_counted(model, name):
  _, variables, _ = model()
  small = ne.compress(variables, "3x", rule=RULES[name], quiet=True)
  same_form(small.expand(small.compact), variables)
  offsets = sum(a.size for axes in small.offsets.values() for a in axes.values())
  numbers = sum(value.size for value in small.compact.values()) + offsets
  assert numbers == small.totals.stored_params
  assert small.totals.expanded_params == sum(v.size for v in jax.tree.leaves(variables))
  planned = small.plan.compressed
  assert len(planned) > 8
  assert set(small.errors) == set(small.plan.kernels)
  # One ring for all kernels fits the small ones well.
  assert all(0.1 < small.errors[path] < 1.0 for path in planned)


@pytest.mark.slow
def test_a_foreign_network_of_convolutions_runs_from_what_is_stored():
  model, variables, inputs = resnet()
  small = ne.compress(variables, "4x", bits=8, allocation=0.5, rule=CHANNELS)
  with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
    run = jax.jit(lambda c: model.apply(small.expand(c), *inputs, mutable=False))
    logits = run(small.compact)
  assert logits.shape == (2, 10)
  assert np.isfinite(logits).all()


@pytest.mark.slow
def test_a_foreign_transformer_trains_what_is_stored():
  model, variables, inputs = bert()
  small = ne.compress(variables["params"], "4x", bits=8, rule=CHANNELS)

  def loss(compact):
    states, _ = model.apply(
      {"params": small.expand(compact)}, *inputs, return_dict=False
    )
    return jnp.mean((states - 1.0) ** 2)

  rule, compact = optax.adam(1e-2), small.compact
  state, seen = rule.init(compact), []
  with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
    step = jax.jit(jax.value_and_grad(loss))
    for _ in range(4):
      value, gradients = step(compact)
      updates, state = rule.update(gradients, state, compact)
      compact = optax.apply_updates(compact, updates)
      seen.append(float(value))
  assert seen[-1] < 0.9 * seen[0]


@pytest.mark.slow
@pytest.mark.parametrize("fit", ["closed", "full"])
@pytest.mark.parametrize("bits", [32, 8, 4])
def test_a_file_holds_what_expands_here_in_the_bytes_that_are_told(tmp_path, fit, bits):
  _, variables, _ = bert()
  small = ne.compress(
    variables["params"], "2x", bits=bits, fit=fit, quiet=True, rule=CHANNELS
  )
  path = tmp_path / "bert.safetensors"
  small.save(path)
  assert os.path.getsize(path) == small.totals.stored_bytes
  parameters = compact_reader.read(path).parameters()
  whole = trees.take_apart(small.expand(small.compact)).arrays
  assert parameters.keys() == whole.keys()
  for name, value in whole.items():
    np.testing.assert_allclose(parameters[name], value, atol=1e-6)


@pytest.mark.parametrize("fit", ["closed", "full"])
@pytest.mark.parametrize("bits", [32, 4])
def test_errors_are_of_what_expands_relative_to_what_was_given(fit, bits):
  variables = initialised(Attention(), jnp.ones((1, 6, 8)))
  small = ne.compress(variables, "2x", bits=bits, fit=fit, quiet=True, rule=CHANNELS)
  original = trees.take_apart(variables).arrays
  expanded = trees.take_apart(small.expand(small.compact)).arrays
  assert small.errors.keys() == small.plan.kernels.keys()
  for path, error in small.errors.items():
    expected = np.linalg.norm(expanded[path] - original[path]) / np.linalg.norm(
      original[path]
    )
    assert error == pytest.approx(expected, rel=1e-5, abs=1e-7)


@pytest.mark.slow
def test_a_search_keeps_more_of_the_values():
  _, variables, _ = bert()
  closed = ne.compress(variables, "2x", rule=CHANNELS)
  full = ne.compress(variables, "2x", fit="full", quiet=True, rule=CHANNELS)
  assert full.plan == closed.plan
  assert all(full.errors[k] < closed.errors[k] for k in closed.plan.compressed)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["channels", "low_rank"])
@pytest.mark.parametrize("fit", ["closed", "full"])
def test_with_the_inputs_measured_the_network_answers_more_nearly(fit, name):
  model = nn.Sequential([nn.Dense(64), nn.relu, nn.Dense(32)])
  random = np.random.default_rng(1)
  x = random.normal(size=(256, 48)) * np.exp(1.5 * random.normal(size=48))
  variables = initialised(model, x)

  def answer(variables, x=x):
    return model.apply(variables, x)

  halves = [x[:128], x[128:]]
  importance = ne.input_importance(lambda x: answer(variables, x), halves)
  expected, errors = answer(variables), []
  for measured in (None, importance):
    small = ne.compress(
      variables, "2x", rule=RULES[name], fit=fit, importance=measured, quiet=True
    )
    errors.append(np.linalg.norm(answer(small.expand(small.compact)) - expected))
  assert errors[1] < 0.97 * errors[0]


class Heads(nn.Module):
  """Two layers of several axes whose names do not tell which are inputs."""

  @nn.compact
  def __call__(self, x):
    """(batch, 48) -> (batch, 16)."""
    x = nn.relu(nn.DenseGeneral((4, 16), name="many")(x))
    return nn.DenseGeneral(16, axis=(-2, -1), name="few")(x)


def test_of_layers_of_several_axes_what_is_measured_fits_what_outputs_tells():
  x = np.random.default_rng(1).normal(size=(64, 48))
  variables = initialised(Heads(), x)
  importance = ne.input_importance(lambda x: Heads().apply(variables, x), [x])
  with pytest.raises(UserError, match=r"few.* not of shape \[64\]; .* outputs="):
    ne.compress(variables, "2x", importance=importance, quiet=True, rule=CHANNELS)
  outputs = {"*many/kernel": 2, "*few/kernel": 1}
  small = ne.compress(
    variables, "2x", importance=importance, outputs=outputs, quiet=True, rule=CHANNELS
  )
  assert set(small.plan.compressed) == {f"params/{name}" for name in importance}


@pytest.mark.slow
@pytest.mark.parametrize("budget", ["60kB", "0.06 MiB", "40k parameters"])
def test_a_budget_is_met_and_nearly_used(budget):
  _, variables, _ = bert()
  totals = ne.compress(variables, budget, bits=8, rule=CHANNELS).totals
  stored, limit = {
    "60kB": (totals.stored_bytes, 60_000),
    "0.06 MiB": (totals.stored_bytes, 0.06 * 2**20),
    "40k parameters": (totals.stored_params, 40_000),
  }[budget]
  assert 0.95 * limit < stored <= limit


@pytest.mark.parametrize("bits", [32, 8, 4])
def test_a_small_file_takes_what_is_told_to_the_byte(tmp_path, bits):
  variables = initialised(Attention(), jnp.ones((1, 6, 8)))
  small = ne.compress(variables, "2x", bits=bits, rule=CHANNELS)
  small.save(tmp_path / "small")
  assert os.path.getsize(tmp_path / "small") == small.totals.stored_bytes


@pytest.mark.slow
@pytest.mark.parametrize(("bits", "limit"), [(32, 200_000), (8, 60_000), (4, 40_000)])
def test_a_file_is_within_its_budget_with_names_and_plan(tmp_path, bits, limit):
  _, variables, _ = bert()
  ne.compress(variables, f"{limit}B", bits=bits, rule=CHANNELS).save(tmp_path / "small")
  assert 0.95 * limit < os.path.getsize(tmp_path / "small") <= limit


@pytest.mark.slow
def test_the_smallest_feasible_budget_is_of_the_whole_file(tmp_path):
  _, variables, _ = bert()
  with pytest.raises(UserError, match="smallest feasible budget is") as caught:
    ne.compress(variables, "100B", bits=8, rule=CHANNELS)
  limit = caught.value.args[0].partition("budget is ")[2].split()[0].replace(",", "")
  ne.compress(variables, f"{limit}B", bits=8, rule=CHANNELS).save(tmp_path / "small")
  assert os.path.getsize(tmp_path / "small") == int(limit)


def test_heads_are_read_as_matrices_and_dtypes_come_back():
  variables = initialised(Attention(), jnp.ones((1, 6, 8)))
  name = "convolution"
  kernel = variables["params"][name]["kernel"].astype(jnp.bfloat16)
  variables["params"][name]["kernel"] = kernel
  small = ne.compress(variables, "2x", rule=CHANNELS)
  shapes = {path: kernel.shape for path, kernel in small.plan.kernels.items()}
  heads = "params/MultiHeadDotProductAttention_0"
  assert shapes[f"{heads}/query/kernel"] == (16, 32)
  assert shapes[f"{heads}/out/kernel"] == (32, 16)
  assert shapes["params/convolution/kernel"] == (5, 8, 16)
  same_form(small.expand(small.compact), variables)
  flat = {"*query/kernel": 1}
  [path] = [p for p in shapes if p.endswith("query/kernel")]
  assert ne.compress(variables, "2x", outputs=flat, rule=CHANNELS).plan.kernels[
    path
  ].shape == (64, 8)


@pytest.mark.slow
def test_a_state_of_nnx_comes_back_and_runs():
  model = Blocks(nnx.Rngs(0))
  graph, state = nnx.split(model, nnx.Param)
  small = ne.compress(state, "2x", quiet=True, rule=CHANNELS)
  assert {"layers/0/kernel", "words/embedding"} <= small.plan.kernels.keys()
  assert "words/embedding/epitome" in small.compact
  whole = small.expand(small.compact)
  same_form(whole, state)
  out = nnx.merge(graph, whole)(jnp.ones((2, 3), jnp.int32))
  assert out.shape == (2, 3, 16)


@pytest.mark.slow
def test_quantisation_alone_keeps_nearly_all():
  _, variables, _ = bert()
  small = ne.compress(variables, "4x", rule=QuantisedRule(8))
  assert max(small.errors.values()) < 0.01


@pytest.mark.slow
def test_the_table_tells_of_every_kernel():
  _, variables, _ = bert()
  small = ne.compress(variables["params"], "2x", rule=CHANNELS)
  text = str(small)
  assert "encoder/layer/0/intermediate/dense" in text
  assert f"{small.totals.stored_bytes:,} bytes" in text


TREE = {"a": {"kernel": np.ones((64, 64), np.float32)}}


@pytest.mark.parametrize(
  ("tree", "options", "words"),
  [
    (TREE, {"budget": "10 bytes"}, "smallest feasible budget is"),
    (TREE, {"budget": "lots"}, "'1.0MB'"),
    (TREE, {"budget": "1..2MB"}, "'1.0MB'"),
    (TREE, {"budget": "0.5x"}, "at least 1"),
    (TREE, {"bits": 12}, "1 to 8"),
    (TREE, {"fit": "best"}, "'closed' or 'full'"),
    (TREE, {"only": ("*kernal",)}, "'a/kernel'|a/kernel"),
    (TREE, {"outputs": {"a/kernel": 2}}, "no inputs"),
    ({}, {}, "a tree of parameters"),
    ({"bias": np.ones(3, np.float32)}, {}, "no kernel to compress: bias"),
    ({"depthwise": {"kernel": np.ones((3, 3, 1, 64), np.float32)}}, {}, "no kernel"),
    ({"name": "x", **TREE}, {}, "'name' is no array"),
    (TREE, {"importance": {"a/kernel": np.ones(3)}}, "64 finite numbers"),
    (TREE, {"importance": {"a/kernel": np.full(64, -1.0)}}, "64 finite numbers"),
    (TREE, {"importance": {"b/kernel": np.ones(64)}}, "'b/kernel' and others"),
    ({"key": jax.random.key(0), **TREE}, {}, "nnx.Param"),
  ],
)
def test_what_cannot_be_done_is_told_in_a_line(tree, options, words):
  with pytest.raises(UserError, match=words) as caught:
    ne.compress(tree, **{"budget": "2x", "rule": CHANNELS} | options)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize("budget", ["20kB", "33kB", "64kB"])
def test_one_kernel_meets_a_budget_at_which_its_rule_has_no_size(budget):
  kernel = np.random.default_rng(0).normal(size=(256, 256)).astype("f4")
  small = ne.compress({"dense": {"kernel": kernel}}, budget, quiet=True, rule=CHANNELS)
  assert small.totals.stored_bytes <= int(budget.removesuffix("kB")) * 1000
