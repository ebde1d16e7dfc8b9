"""`folding`: Linen's layers run from what is stored, and compute what they did."""

import dataclasses
from functools import cache, partial

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import neural_epitome as ne
from neural_epitome.epitome.generators import EpitomeRule, LowRankRule
from neural_epitome.errors import UserError
from tests.compression.test_compress import CHANNELS, foreign, initialised

RULES = {
  "channels": CHANNELS,
  "tile": EpitomeRule(side="both", routing="tile"),
  "epitome": EpitomeRule(side="both"),
  "low_rank": LowRankRule(),
}


class Standardised(nn.Conv):
  """Called as its parent is, and reads another kernel."""

  def param(self, name, *rest, **options):
    """Kernels of mean 0."""
    value = super().param(name, *rest, **options)
    return value - jnp.mean(value) if name == "kernel" else value


class Pointwise(nn.Conv):
  """Another default and nothing else."""

  kernel_size: tuple[int, ...] = (1, 1)


class Step(nn.Module):
  """What a scan repeats."""

  @nn.compact
  def __call__(self, carry, _):
    """(batch, features) -> the same."""
    return nn.tanh(nn.Dense(carry.shape[-1])(carry)), None


def doubled(x, kernel, dimensions, precision=None):
  return 2 * jax.lax.dot_general(x, kernel, dimensions, precision)


FOLDED = {
  "same": partial(nn.Conv, 16, (3, 3)),
  "valid": partial(nn.Conv, 16, (3, 3), padding="VALID", use_bias=False),
  "strides": partial(nn.Conv, 16, (3, 3), strides=(2, 1), padding=1),
  "pairs": partial(nn.Conv, 16, (3, 3), strides=2, padding=((2, 0), (0, 1))),
  "circular": partial(nn.Conv, 16, (3, 3), padding="CIRCULAR", kernel_dilation=2),
  "reflect": partial(nn.Conv, 16, (3, 3), padding="REFLECT", strides=2),
  "transposed": partial(nn.Conv, 16, (2, 2), padding=1, input_dilation=2),
  "subclass": partial(Pointwise, 16),
  "dense": partial(nn.Dense, 16),
  "heads": partial(nn.DenseGeneral, (4, 8)),
  "groups": partial(nn.Conv, 16, (3, 3), feature_group_count=2),
}
BUILT = {
  "masked": partial(nn.Conv, 16, (1, 1), mask=np.ones((1, 1, 12, 16), np.float32)),
  "standardised": partial(Standardised, 16, (1, 1)),
  "upwards": partial(nn.ConvTranspose, 16, (2, 2)),
  "product": partial(nn.Dense, 16, dot_general=doubled),
  "axes": partial(nn.DenseGeneral, 16, axis=(1, 2)),
  "remat": partial(nn.remat(nn.Dense), 16),
  "mapped": partial(
    nn.vmap(nn.Dense, variable_axes={"params": 0}, split_rngs={"params": True}), 16
  ),
}


class Foreign(nn.Module):
  """Every layer beside the others, each with an output of its own."""

  @nn.compact
  def __call__(self, x, words, train=False):
    """(batch, height, width, 12) and (batch, time) -> outputs by name."""
    outputs = {n: layer(name=n)(x) for n, layer in (FOLDED | BUILT).items()}
    shared = nn.Conv(16, (3,), padding="CAUSAL", name="shared")
    outputs["line"], outputs["lines"] = shared(x[:, :, 0]), shared(x)
    outputs["one"] = shared(x[0, 0])
    norm = nn.BatchNorm(use_running_average=not train, name="norm")
    outputs["norm"] = norm(outputs["dense"])
    embed = nn.Embed(40, 12, name="embed")
    outputs["words"] = embed(words)
    attention = nn.MultiHeadDotProductAttention(4, qkv_features=16, name="attention")
    outputs["attention"] = attention(outputs["words"], outputs["words"])
    outputs["tied"] = embed.attend(outputs["attention"])
    scan = nn.scan(
      Step, variable_axes={"params": 0}, split_rngs={"params": True}, length=3
    )
    outputs["scan"], _ = scan(name="scan")(x[:, 0, 0], None)
    return outputs


MODEL = Foreign()
X = jax.random.normal(jax.random.key(0), (2, 6, 5, 12))
WORDS = jnp.arange(8).reshape(2, 4)


@cache
def variables_of_all():
  return initialised(MODEL, X, WORDS)


def assert_close(actual, expected, tolerance=1e-5):
  assert jax.tree.structure(actual) == jax.tree.structure(expected)
  for one, two in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
    assert one.dtype == two.dtype
    scale = max(1.0, np.abs(two).max())
    np.testing.assert_allclose(one / scale, two / scale, atol=tolerance)


def run_all(params):
  variables = variables_of_all() | {"params": params}
  return MODEL.apply(variables, X, WORDS, train=True, mutable=["batch_stats"])


def folded(small, run, compact):
  with small.folding(compact) as params:
    return run(params)


def ways(small, run):
  """Folded and expanded, each a function of what is stored."""
  return partial(folded, small, run), lambda compact: run(small.expand(compact))


def compressed(variables, name, **options):
  """Stored in half, and read from anywhere."""
  small = ne.compress(variables, "2x", rule=RULES[name], **options)
  random = np.random.default_rng(0)
  starts = jax.tree.map(
    lambda zeros: random.integers(0, 9, zeros.shape).astype(np.float32), small.offsets
  )
  return dataclasses.replace(small, offsets=starts)


@cache
def stored():
  params = variables_of_all()["params"]
  return compressed(params, "tile", outputs={"heads/kernel": 2})


@pytest.mark.slow
def test_outputs_and_statistics_are_those_of_the_expanded_model():
  small = stored()
  assert_close(
    *jax.jit(lambda c: [way(c) for way in ways(small, run_all)])(small.compact)
  )


@pytest.mark.parametrize("name", ["channels", "epitome", "low_rank"])
def test_what_is_stored_has_the_same_gradients(name):
  model = nn.Sequential([nn.Conv(20, (3,), strides=2), jnp.sin, nn.Dense(28)])
  x = jax.random.normal(jax.random.key(1), (2, 6, 12))
  variables = initialised(model, x)
  small = compressed(variables, name)

  def loss(way, compact):
    return jnp.mean(jnp.sin(way(compact)))

  def both(compact):
    called = ways(small, lambda variables: model.apply(variables, x))
    return [jax.value_and_grad(partial(loss, way))(compact) for way in called]

  assert_close(*jax.jit(both)(small.compact))


def test_it_is_told_what_is_folded_and_why_not():
  small = stored()
  outcomes = small.folds(run_all)
  assert set(outcomes) == set(small.plan.compressed)
  for layer in [*FOLDED, "shared", "attention/query", "attention/out"]:
    assert outcomes[f"{layer}/kernel"] == "folded", layer
  for layer in BUILT:
    assert outcomes[f"{layer}/kernel"].startswith("built: "), layer
  assert "own mask" in outcomes["masked/kernel"]
  assert "Standardised is not Conv" in outcomes["standardised/kernel"]
  assert "outside jax.jit" in outcomes["scan/Dense_0/kernel"]
  assert "Embed" in outcomes["embed/embedding"]
  some = small.folds(run_all, {"same/kernel": "fold", "valid/kernel": "materialise"})
  assert some["same/kernel"] == "folded"
  assert some["valid/kernel"] == some["dense/kernel"] == "built: as chosen"


def test_a_kernel_that_is_folded_is_in_no_program():
  model = nn.Sequential([nn.Conv(20, (3, 3)), nn.relu, nn.Dense(28)])
  x = jnp.ones((2, 6, 6, 12))
  small = compressed(initialised(model, x), "channels")
  kernels = "3x3x12x20xf32", "20x28xf32"

  def text(forward):
    def loss(compact):
      return jnp.mean(forward(compact) ** 2)

    return jax.jit(jax.value_and_grad(loss)).lower(small.compact).as_text()

  def run(variables):
    return model.apply(variables, x)

  whole = text(lambda compact: run(small.expand(compact)))
  short = text(partial(folded, small, run))
  assert all(kernel in whole for kernel in kernels)
  assert not any(kernel in short for kernel in kernels)


def test_a_foreign_network_folds_with_fewer_operations():
  model = foreign("jax_resnet").ResNet(
    foreign("jax_resnet.resnet").ResNetBlock,
    stage_sizes=(1,),
    hidden_sizes=(64,),
    n_classes=10,
  )
  images = jnp.ones((2, 32, 32, 3))
  variables = initialised(model, images)
  small = ne.compress(variables, "4x", bits=8, rule=CHANNELS)

  def run(variables):
    return model.apply(variables, images, mutable=False)

  def both(compact):
    return [way(compact) for way in ways(small, run)]

  with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
    assert_close(*jax.jit(both)(small.compact))
    programs = [jax.jit(way).lower(small.compact) for way in ways(small, run)]
    outcomes = small.folds(run)
  less, more = (program.cost_analysis()["flops"] for program in programs)
  assert less < 0.6 * more
  assert sum(outcome == "folded" for outcome in outcomes.values()) == 2


def test_the_computation_has_the_dtype_that_the_layer_says():
  layer = nn.Dense(24, dtype=jnp.bfloat16)
  x = jnp.ones((3, 16))
  small = ne.compress(initialised(layer, x), "2x", rule=CHANNELS)
  called = ways(small, lambda variables: layer.apply(variables, x))
  y, expected = (way(small.compact) for way in called)
  assert y.dtype == expected.dtype == jnp.bfloat16
  np.testing.assert_allclose(y.astype(float), expected.astype(float), atol=0.1)


LAYER = nn.Dense(24)


@cache
def stored_layer():
  return ne.compress(initialised(LAYER, jnp.ones((3, 16))), "2x", rule=CHANNELS)


def test_another_model_of_the_same_names_is_left_alone():
  x = jax.random.normal(jax.random.key(1), (3, 16))
  teacher = {"params": {"kernel": jnp.ones((16, 24)), "bias": jnp.zeros(24)}}
  small = stored_layer()
  with small.folding(small.compact) as variables:
    folded = LAYER.apply(variables, x), LAYER.apply(teacher, x)
  expanded = small.expand(small.compact)
  assert_close(folded, (LAYER.apply(expanded, x), LAYER.apply(teacher, x)))


def test_an_input_of_another_size_is_refused_by_the_layer():
  small = stored_layer()
  with pytest.raises(flax.errors.ScopeParamShapeError):
    folded(small, lambda v: LAYER.apply(v, jnp.ones((3, 12))), small.compact)


@pytest.mark.parametrize(
  ("execution", "words"),
  [
    ({"params/kernal": "fold"}, "params/kernel"),
    ("folded", "'materialise' or 'fold'"),
    ("fold", "jax.jit or jax.grad around"),
  ],
)
def test_what_would_fold_nothing_is_told_in_a_line(execution, words):
  small = stored_layer()

  def run():
    with small.folding(small.compact, execution) as variables:
      jax.eval_shape(LAYER.apply, variables, jnp.ones((3, 16)))

  with pytest.raises(UserError, match=words) as caught:
    run()
  assert "\n" not in str(caught.value)
