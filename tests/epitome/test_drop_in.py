"""A generated layer stands wherever one of Flax's does: the class changes, no more."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_epitome.epitome import geometry, layers, nnx_layers
from neural_epitome.epitome.generators import (
  ChannelEpitomeRule,
  Dense,
  Epitome,
  EpitomeRule,
  HashedRule,
  LowRankRule,
  QuantisedRule,
  WSNetRule,
)
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.errors import UserError

KEY = jax.random.key(0)
DTYPES = (None, jnp.float32, jnp.bfloat16)
# Flax computes in the common type of input and parameters, which JAX does not have in
# the strict mode of these tests.
as_users_have_it = jax.numpy_dtype_promotion("standard")


@st.composite
def convolutions(draw):
  """Arguments of a convolution, and shape and dtype of an input."""
  rank = draw(st.integers(1, 3))

  def each(low, high):
    alone = st.integers(low, high)
    every = st.lists(alone, min_size=rank, max_size=rank).map(tuple)
    return draw(alone | every)

  kernel_size = draw(st.lists(st.integers(1, 4), min_size=rank, max_size=rank))
  kernel_size = tuple(kernel_size)
  side = st.integers(0, 2)
  pairs = st.tuples(*[side | st.tuples(side, side)] * rank)
  strings = ["SAME", "VALID", "CIRCULAR", "REFLECT"] + ["CAUSAL"] * (rank == 1)
  groups = draw(st.sampled_from([1, 2, 4]))
  options = {
    "strides": draw(st.none()) if draw(st.booleans()) else each(1, 3),
    "padding": draw(st.sampled_from(strings) | side | pairs),
    "kernel_dilation": each(1, 2),
    "feature_group_count": groups,
    "use_bias": draw(st.booleans()),
    "dtype": draw(st.sampled_from(DTYPES)),
    "param_dtype": draw(st.sampled_from(DTYPES[1:])),
  }
  if not isinstance(options["padding"], str):
    options["input_dilation"] = each(1, 2)
  sizes = (kernel_size[0],) if rank == 1 else kernel_size
  if rank == 1 and draw(st.booleans()):
    kernel_size = kernel_size[0]
  # Large enough for every kernel, however it is dilated.
  space = tuple(draw(st.integers(2 * k + 1, 9)) for k in sizes)
  batch = draw(st.sampled_from([(), (2,), (2, 3)]))
  channels = groups * draw(st.sampled_from([1, 3]))
  dtype = draw(st.sampled_from(["float32", "bfloat16", "int32"]))
  x = jax.ShapeDtypeStruct((*batch, *space, channels), jnp.dtype(dtype))
  return groups * draw(st.integers(1, 5)), kernel_size, options, x


@st.composite
def products(draw):
  """Arguments of a dense layer, and shape and dtype of an input."""
  options = {
    "use_bias": draw(st.booleans()),
    "dtype": draw(st.sampled_from(DTYPES)),
    "param_dtype": draw(st.sampled_from(DTYPES[1:])),
  }
  shape = (*draw(st.sampled_from([(), (2,), (2, 3)])), draw(st.integers(1, 9)))
  dtype = draw(st.sampled_from(["float32", "bfloat16", "int32"]))
  return draw(st.integers(1, 9)), options, jax.ShapeDtypeStruct(shape, jnp.dtype(dtype))


rates = st.none() | st.sampled_from([1, 2, 4.0, 16])
rules = st.none() | st.sampled_from(
  [EpitomeRule(), EpitomeRule(routing="tile"), ChannelEpitomeRule(), LowRankRule()]
)


def seen(x):
  """Shape and dtype."""
  return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), x)


def run(layer, x):
  """Shapes of what a Linen layer makes and of its parameters; nothing is computed."""
  y, variables = jax.eval_shape(layer.init_with_output, KEY, x)
  applied = jax.eval_shape(layer.apply, variables, x)
  assert seen(applied) == seen(y)
  return seen(y), seen(variables)


@pytest.mark.slow
@given(convolutions(), rates, rules)
@settings(max_examples=60)
def test_a_convolution_of_linen_runs_with_its_class_swapped(problem, rate, rule):
  features, kernel_size, options, x = problem
  with as_users_have_it:
    theirs, stored = run(nn.Conv(features, kernel_size, **options), x)
    ours, same = run(layers.EpitomeConv(features, kernel_size, **options), x)
    assert (ours, same) == (theirs, stored)
    layer = layers.EpitomeConv(features, kernel_size, rate=rate, rule=rule, **options)
    ours, _ = run(layer, x)
  assert ours == theirs


@pytest.mark.slow
@given(products(), rates, rules)
def test_a_dense_layer_of_linen_runs_with_its_class_swapped(problem, rate, rule):
  features, options, x = problem
  with as_users_have_it:
    theirs, stored = run(nn.Dense(features, **options), x)
    assert run(layers.EpitomeDense(features, **options), x) == (theirs, stored)
    layer = layers.EpitomeDense(features, rate=rate, rule=rule, **options)
    ours, _ = run(layer, x)
  assert ours == theirs


@pytest.mark.slow
@given(convolutions(), rates, rules)
@settings(max_examples=60)
def test_a_convolution_of_nnx_runs_with_its_class_swapped(problem, rate, rule):
  features, kernel_size, options, x = problem

  def output_of(layer, **more):
    def call(x):
      channels, rngs = x.shape[-1], nnx.Rngs(0)
      module = layer(channels, features, kernel_size, rngs=rngs, **options, **more)
      return module(x)

    return seen(jax.eval_shape(call, x))

  with as_users_have_it:
    theirs = output_of(nnx.Conv)
    assert output_of(nnx_layers.EpitomeConv) == theirs
    assert output_of(nnx_layers.EpitomeConv, rate=rate, rule=rule) == theirs


@given(products(), rates, rules)
def test_a_linear_layer_of_nnx_runs_with_its_class_swapped(problem, rate, rule):
  features, options, x = problem

  def output_of(layer, **more):
    def call(x):
      return layer(x.shape[-1], features, rngs=nnx.Rngs(0), **options, **more)(x)

    return seen(jax.eval_shape(call, x))

  with as_users_have_it:
    linear = nnx_layers.EpitomeLinear
    theirs = output_of(nnx.Linear)
    assert output_of(linear) == theirs
    assert output_of(linear, rate=rate, rule=rule) == theirs


def drawn(x):
  values = np.random.default_rng(0).uniform(-3, 3, x.shape)
  return jnp.asarray(values, x.dtype)


@pytest.mark.slow
@given(convolutions())
@settings(max_examples=10)
def test_without_a_rate_a_convolution_computes_what_flax_does(problem):
  features, kernel_size, options, x = problem
  x = drawn(x)
  theirs = nn.Conv(features, kernel_size, **options)
  ours = layers.EpitomeConv(features, kernel_size, rate=1, **options)
  with as_users_have_it:
    variables = theirs.init(KEY, x)
    expected, actual = theirs.apply(variables, x), ours.apply(variables, x)
    jax.tree.map(np.testing.assert_array_equal, ours.init(KEY, x), variables)
  step = jnp.finfo(expected.dtype).eps
  error = np.abs(np.asarray(actual, np.float64) - np.asarray(expected, np.float64))
  assert np.all(error <= 30 * step * (1.0 + np.abs(np.asarray(expected, np.float64))))


@pytest.mark.parametrize(
  ("theirs", "ours", "arguments", "shape"),
  [
    (nnx.Conv, nnx_layers.EpitomeConv, (6, 4, (3, 3), 2), (2, 7, 7, 6)),
    (nnx.Conv, nnx_layers.EpitomeConv, (6, 4, 3), (7, 6)),
    (nnx.Linear, nnx_layers.EpitomeLinear, (6, 4), (3, 6)),
  ],
)
def test_without_a_rate_an_nnx_layer_starts_and_computes_as_flaxs(
  theirs, ours, arguments, shape
):
  x = jax.random.normal(KEY, shape)
  init = {"bias_init": nnx.initializers.normal(1.0), "rngs": nnx.Rngs(3)}
  expected = theirs(*arguments, **init)(x)
  actual = ours(*arguments, **init | {"rngs": nnx.Rngs(3)})(x)
  np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


def parameters(function):
  return [
    p for p in inspect.signature(function).parameters.values() if p.name != "self"
  ]


def positional(function):
  return [p.name for p in parameters(function) if p.kind is p.POSITIONAL_OR_KEYWORD]


@pytest.mark.parametrize(
  ("theirs", "ours"),
  [(nn.Conv, layers.EpitomeConv), (nn.Dense, layers.EpitomeDense)],
)
def test_linen_arguments_are_flaxs_in_its_order_with_its_defaults(theirs, ours):
  assert positional(ours)[: len(positional(theirs))] == positional(theirs)
  mine = {p.name: p.default for p in parameters(ours)}
  for parameter in parameters(theirs):
    if not callable(parameter.default):
      assert mine[parameter.name] == parameter.default, parameter
  call = parameters(theirs.__call__)[0].name
  assert parameters(ours.__call__)[0].name == call


@pytest.mark.parametrize(
  ("theirs", "ours"),
  [(nnx.Conv, nnx_layers.EpitomeConv), (nnx.Linear, nnx_layers.EpitomeLinear)],
)
def test_nnx_arguments_are_flaxs_in_its_order_with_its_defaults(theirs, ours):
  assert positional(ours.__init__) == positional(theirs.__init__)
  shared = parameters(nnx_layers.GeneratedLayer.__init__)
  mine = {p.name: p.default for p in (*shared, *parameters(ours.__init__))}
  for parameter in parameters(theirs.__init__):
    if not callable(parameter.default):
      assert mine[parameter.name] == parameter.default, parameter
  assert positional(ours.__call__) == positional(theirs.__call__)


def stored(layer, x):
  """Numbers that the layer stores for its kernel, offsets included."""
  variables = jax.eval_shape(layer.init, KEY, x)
  tensors = {**variables["params"], **variables.get("routing", {}).get("map", {})}
  return sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(tensors))


@pytest.mark.parametrize(
  "rule", [EpitomeRule(), EpitomeRule(side="both"), HashedRule(), WSNetRule()]
)
@pytest.mark.parametrize("rate", [2, 3.5, 8])
def test_a_rate_is_met_within_one_in_a_hundred(rule, rate):
  options = {"rate": rate, "rule": rule, "use_bias": False}
  fixed = IndexOptions(source="fixed")
  conv = layers.EpitomeConv(64, (3, 3), indices=fixed, **options)
  x = jnp.zeros((1, 5, 5, 48))
  np.testing.assert_allclose(stored(conv, x), 9 * 48 * 64 / rate, rtol=0.01)
  dense = layers.EpitomeDense(96, indices=fixed, **options)
  np.testing.assert_allclose(stored(dense, x), 48 * 96 / rate, rtol=0.02)


def test_kernels_that_are_too_small_for_a_rate_shrink_as_far_as_they_can():
  x = jnp.zeros((1, 8, 8, 4))
  tile, rate = EpitomeRule(routing="tile"), 1000
  small = layers.EpitomeConv(8, (3, 3), rate=rate, rule=tile, use_bias=False)
  assert stored(small, x) == 9
  depthwise = {"feature_group_count": 4, "use_bias": False}
  assert stored(layers.EpitomeConv(8, (3, 3), rate=2, **depthwise), x) == 9 * 8
  # Its offset is as large as the kernel.
  single = layers.EpitomeDense(1, rate=2, use_bias=False)
  assert stored(single, jnp.zeros((1, 1))) == 1
  alone = layers.EpitomeConv(8, 1, rule=tile, use_bias=False)
  assert stored(alone, jnp.zeros((8, 32))) == 8 * 32 / 2


@pytest.mark.slow
@pytest.mark.parametrize("padding", ["CIRCULAR", "REFLECT", "CAUSAL", 2, ((1, 2),)])
@pytest.mark.parametrize("generator", [Epitome((4, 3, 8)), WSNetRule()])
def test_folded_layers_pad_and_take_batch_axes_as_built_ones(padding, generator):
  x = jax.random.normal(KEY, (2, 3, 9, 6))
  options = {"padding": padding, "indices": IndexOptions(source="fixed")}
  if isinstance(generator, Epitome):
    options |= {"generator": generator, "kernel_dilation": 2}
  else:
    options |= {"rule": generator, "rate": 3, "strides": 2}
  built = layers.EpitomeConv(8, 3, **options)
  y, variables = jax.jit(built.init_with_output)(KEY, x)
  folded = jax.jit(built.clone(execution="fold").apply)(variables, x)
  np.testing.assert_allclose(folded, y, rtol=1e-4, atol=1e-4)
  each = [[built.apply(variables, x[i, j]) for j in range(3)] for i in range(2)]
  np.testing.assert_allclose(np.array(each), y, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("execution", ["materialise", "fold"])
def test_a_mask_hides_the_same_weights_as_in_flax(execution):
  x = jax.random.normal(KEY, (2, 9, 6))
  mask = np.random.default_rng(0).uniform(size=(3, 6, 4)) > 0.5
  tile = {"generator": Epitome((3, 6, 2), "tile"), "execution": execution}
  layer = layers.EpitomeConv(4, 3, mask=mask, use_bias=False, **tile)
  variables = layer.init(KEY, x)
  kernel = jnp.tile(variables["params"]["epitome"], (1, 1, 2))
  theirs = nn.Conv(4, 3, mask=mask.astype(np.float32), use_bias=False)
  expected = theirs.apply({"params": {"kernel": kernel}}, x)
  np.testing.assert_allclose(layer.apply(variables, x), expected, atol=1e-5)
  options = tile | {"mask": mask, "use_bias": False, "rngs": nnx.Rngs(0)}
  twin = nnx_layers.EpitomeConv(6, 4, 3, **options)
  twin.tensors["epitome"][...] = variables["params"]["epitome"]
  actual = nnx.jit(lambda twin, x: twin(x))(twin, x)
  np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_functions_in_place_of_jaxs_are_called_by_the_layer():
  seen = []

  def conv(x, kernel, *arguments, **options):
    seen.append(kernel.shape)
    return jax.lax.conv_general_dilated(x, kernel, *arguments, **options)

  def dot(x, kernel, *arguments, **options):
    seen.append(kernel.shape)
    return jax.lax.dot_general(x, kernel, *arguments, **options)

  x = jnp.ones((2, 8, 6))
  tile = {"generator": Epitome((3, 6, 2), "tile")}
  layers.EpitomeConv(4, 3, conv_general_dilated=conv, **tile).init(KEY, x)
  layers.EpitomeConv(
    4, 3, conv_general_dilated_cls=lambda: conv, execution="fold", **tile
  ).init(KEY, x)
  layers.EpitomeDense(4, dot_general=dot).init(KEY, x)
  layers.EpitomeDense(4, dot_general_cls=lambda: dot).init(KEY, x)
  nnx_layers.EpitomeLinear(6, 4, dot_general=dot, rngs=nnx.Rngs(0))(x)
  wide = nnx_layers.EpitomeConv(
    6, 4, 3, preferred_element_type=jnp.float32, dtype="bfloat16", rngs=nnx.Rngs(0)
  )
  assert wide(x).dtype == jnp.float32
  assert seen == [(3, 6, 4), (3, 6, 2), (6, 4), (6, 4), (6, 4)]


def conv(*arguments, channels=4, **options):
  shape = (1, *(8,) * len(geometry.kernel_sizes(arguments[1])), channels)
  layers.EpitomeConv(*arguments, **options).init(KEY, jnp.zeros(shape))


@pytest.mark.parametrize(
  ("arguments", "options", "words"),
  [
    ((4, ()), {}, "kernel_size="),
    ((4, (3, 0)), {}, "kernel_size="),
    ((4, (3, 3)), {"strides": (1, 1, 1)}, "strides="),
    ((4, (3, 3)), {"kernel_dilation": 0}, "kernel_dilation=0"),
    ((4, (3, 3)), {"padding": "SOME"}, "padding='SOME'"),
    ((4, (3, 3)), {"padding": "CAUSAL"}, "1-D"),
    ((4, (3, 3)), {"padding": ((1, 1),)}, "padding="),
    ((4, (3, 3)), {"input_dilation": 2}, "input_dilation="),
    ((4, (3, 3)), {"feature_group_count": 3}, "feature_group_count=3"),
    ((4, (3, 3)), {"mask": jnp.ones((3, 3))}, "mask has shape"),
    ((4, (3, 3)), {"promote_dtype": lambda *a, dtype: a}, "promote_dtype"),
    ((4, (3, 3)), {"rate": 0.5}, "rate=0.5"),
    ((4, (3, 3)), {"rate": 2, "generator": Dense()}, "leave out rate="),
    ((4, (3, 3)), {"rate": 2, "rule": QuantisedRule()}, "bits="),
  ],
)
def test_what_makes_no_layer_is_refused_by_name(arguments, options, words):
  with pytest.raises(UserError, match=words):
    conv(*arguments, **options)


def test_an_input_with_too_few_axes_is_refused():
  with pytest.raises(UserError, match="too few axes"):
    layers.EpitomeConv(4, (3, 3)).init(KEY, jnp.zeros((8, 4)))


@pytest.mark.slow
def test_a_layer_without_its_routing_map_says_what_is_missing():
  fixed, x = IndexOptions(source="fixed"), jnp.zeros((1, 64))
  layer = layers.EpitomeDense(64, rate=4, indices=fixed)
  variables = layer.init(KEY, x)
  with pytest.raises(UserError, match="routing"):
    layer.apply({"params": variables["params"]}, x)
