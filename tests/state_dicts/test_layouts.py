"""Axes of foreign kernels: which layout a kernel has, and there and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural_epitome.errors import UserError
from neural_epitome.state_dicts import layouts
from neural_epitome.state_dicts.layouts import Layout
from neural_epitome.state_dicts.leaves import Leaf


@st.composite
def _cases(draw):
  shape = tuple(draw(st.lists(st.integers(1, 4), min_size=2, max_size=5)))
  order = draw(st.permutations(range(len(shape))))
  first = draw(st.integers(0, len(shape) - 1))
  second = draw(st.integers(first, len(shape) - 1))
  parts = (order[:first], order[first:second], order[second:])
  return shape, Layout("any", *map(tuple, parts))


@given(_cases())
def test_an_array_comes_back_from_any_layout(case):
  shape, layout = case
  array = np.arange(np.prod(shape)).reshape(shape)
  ours = layout.to_ours(array)
  assert ours.shape == layout.shape(shape)
  assert ours.ndim == len(layout.window) + 2
  np.testing.assert_array_equal(layout.from_ours(ours, shape), array)


# What a layer's library calls its kernel, the shapes of kernel and bias, and ours.
CASES = [
  ("torch", "conv.weight", (8, 3, 5, 7), (8,), "torch conv", (5, 7, 3, 8)),
  ("torch", "conv.weight", (8, 3, 5), None, "torch conv", (5, 3, 8)),
  ("torch", "depthwise.weight", (8, 1, 3, 3), (8,), "torch conv", (3, 3, 1, 8)),
  ("torch", "wide.weight", (8, 4, 512, 1), (8,), "torch conv", (512, 1, 4, 8)),
  ("torch", "up.weight", (8, 3, 2, 2), (3,), "torch transposed conv", (2, 2, 8, 3)),
  ("torch", "deconv.weight", (8, 8, 2), None, "torch transposed conv", (2, 8, 8)),
  ("torch", "fc.weight", (10, 20), (10,), "torch dense", (20, 10)),
  ("torch", "c_fc.weight", (20, 10), (10,), "torch transposed dense", (20, 10)),
  ("torch", "attn.in_proj_weight", (48, 16), None, "torch dense", (16, 48)),
  ("torch", "lstm.weight_ih_l0", (32, 5), None, "recurrent", (5, 32)),
  ("torch", "cell.weight_hh", (32, 8), None, "recurrent", (8, 32)),
  ("torch", "wte.weight", (50, 16), None, "embedding", (50, 16)),
  ("torch", "word_embeddings.weight", (50, 16), None, "embedding", (50, 16)),
  ("torch", "pos_embed", (1, 9, 16), None, "embedding", (1, 9, 16)),
  (
    "torch",
    "patch_embed.proj.weight",
    (16, 3, 4, 4),
    None,
    "torch conv",
    (4, 4, 3, 16),
  ),
  ("msgpack", "Conv_0/kernel", (5, 7, 3, 8), (8,), "flax conv", (5, 7, 3, 8)),
  ("msgpack", "Dense_0/kernel", (20, 10), (10,), "flax dense", (20, 10)),
  ("msgpack", "query/kernel", (16, 4, 8), (4, 8), "flax dense", (16, 32)),
  ("orbax", "Embed_0/embedding", (50, 16), None, "embedding", (50, 16)),
  ("npz", "dense/kernel:0", (20, 10), (10,), "flax dense", (20, 10)),
  ("npz", "layer.weight", (20, 10), None, "torch dense", (10, 20)),
  ("safetensors", "Dense_0.kernel", (20, 10), None, "flax dense", (20, 10)),
]


def leaf(shape, dtype="float32"):
  return Leaf(shape, dtype, lambda: np.zeros(shape, dtype))


@pytest.mark.parametrize(("kind", "name", "shape", "bias", "layout", "ours"), CASES)
def test_the_layout_follows_from_kind_name_and_bias(
  kind, name, shape, bias, layout, ours
):
  last = name.replace("/", ".").split(".")[-1]
  stem = name[: len(name) - len(last)]
  leaves = {name: leaf(shape)} | ({stem + "bias": leaf(bias)} if bias else {})
  [found_layout] = layouts.find(kind, leaves).values()
  assert (found_layout.name, found_layout.shape(shape)) == (layout, ours)


def test_what_is_no_kernel_has_no_layout():
  leaves = {
    "norm.weight": leaf((8,)),
    "norm.running_var": leaf((8, 2)),
    "conv.bias": leaf((8, 2)),
    "last.weight": leaf((1, 128, 1)),
    "index": leaf((4, 4), "int64"),
    "layer_norm.weight": leaf((4, 5)),
    "layer_norm.bias": leaf((4, 5)),
  }
  assert not layouts.find("torch", leaves)


def test_a_layout_that_was_asked_for_overrules_names():
  leaves = {"conv.weight": leaf((3, 3, 4, 8)), "fc/kernel": leaf((5, 6))}
  found_layouts = layouts.find("npz", leaves, "flax")
  assert [layout.name for layout in found_layouts.values()] == [
    "flax conv",
    "flax dense",
  ]
  found_layouts = layouts.find("npz", leaves, "torch")
  assert [layout.name for layout in found_layouts.values()] == [
    "torch conv",
    "torch dense",
  ]
  with pytest.raises(UserError, match="layout='keras' must be one of torch, flax"):
    layouts.find("npz", leaves, "keras")


def test_names_that_say_nothing_follow_the_others():
  leaves = {"a": leaf((5, 6)), "b.kernel": leaf((5, 6)), "c.kernel": leaf((5, 6))}
  assert {layout.name for layout in layouts.find("npz", leaves).values()} == {
    "flax dense"
  }


@pytest.mark.parametrize(
  ("others", "expected"),
  [((48, 144), "torch transposed dense"), ((144, 48), "torch dense")],
)
def test_a_square_kernel_with_a_bias_lies_as_the_others_do(others, expected):
  shapes = {
    "h.attn.c_attn.weight": others,
    "h.attn.c_attn.bias": (144,),
    "h.attn.c_proj.weight": (48, 48),
    "h.attn.c_proj.bias": (48,),
    "lm_head.weight": (48, 48),
  }
  leaves = {
    name: Leaf(shape, "float32", lambda: None) for name, shape in shapes.items()
  }
  found = layouts.find("torch", leaves)
  assert found["h.attn.c_proj.weight"].name == expected
  assert found["lm_head.weight"].name == "torch dense"
