"""The weights among what a checkpoint holds, and their names."""

import numpy as np
import pytest

from neural_epitome.errors import UserError
from neural_epitome.state_dicts import leaves, wrappers

SHAPES = {"conv1.weight": (4, 3, 3, 3), "conv1.bias": (4,), "fc.weight": (5, 4)}


def state(prefix="", shapes=SHAPES):
  return {
    prefix + name: leaves.of_array(np.ones(shape, np.float32))
    for name, shape in shapes.items()
  }


COUNTER = leaves.of_array(np.asarray(7))
MOMENTS = {
  "state": {
    place: {"step": 3, "exp_avg": moment, "exp_avg_sq": moment}
    for place, moment in enumerate(state().values())
  },
  "param_groups": [],
}


@pytest.mark.parametrize(
  ("tree", "taken"),
  [
    (state(), ""),
    (state("module."), "module"),
    (state("module._orig_mod.model.net."), "module._orig_mod.model.net"),
    ({"epoch": 3, "anything": state(), "optimizer": MOMENTS}, "anything"),
    ({"optimizer": MOMENTS, "a": {"b": {"c": state("model.")}}}, "a.b.c.model"),
    (
      {"model": state(), "model_ema": state("module.")},
      "model_ema.module; left out: model",
    ),
    ({"ema": state() | {"decay": COUNTER}, "net": state()}, "ema; left out: net"),
    (state("module.") | {"n_averaged": COUNTER}, "module"),
    (
      {"state_dict": state("net.") | state("net_ema.module.") | {"net_ema.n": COUNTER}},
      "state_dict.net_ema.module; left out: state_dict.net",
    ),
    ({"G": state(), "D": state(shapes={"fc.weight": (9, 4)})}, "G; left out: D"),
    ({"fine": state(), "state_dict_ema": {}}, "fine"),
  ],
)
def test_torch_weights_are_found_wherever_they_lie(tree, taken):
  choice = wrappers.choose(tree, ".")
  names = {name for name, leaf in choice.leaves.items() if leaf is not COUNTER}
  assert names == SHAPES.keys()
  assert choice.note == taken
  for name, path in choice.paths.items():
    at = tree
    for key in path:
      at = at[key]
    assert at is choice.leaves[name]


NET = {
  "Conv_0": {"kernel": leaves.of_array(np.ones((3, 3, 4), np.float32))},
  "Dense_0": {"kernel": leaves.of_array(np.ones((4, 5), np.float32))},
}
STATISTICS = {"Norm_0": {"mean": leaves.of_array(np.ones(4, np.float32))}}


@pytest.mark.parametrize(
  ("tree", "names"),
  [
    (NET, "Conv_0/kernel Dense_0/kernel"),
    ({"params": NET}, "Conv_0/kernel Dense_0/kernel"),
    ({"model": {"params": NET, "step": COUNTER}}, "Conv_0/kernel Dense_0/kernel"),
    (
      {
        "batch_stats": STATISTICS,
        "opt_state": {"0": {"mu": NET, "nu": NET}},
        "params": NET,
      },
      "batch_stats/Norm_0/mean params/Conv_0/kernel params/Dense_0/kernel",
    ),
    ({"params": NET, "ema_params": NET}, "Conv_0/kernel Dense_0/kernel"),
    (
      {name: {"kernel": {"value": layer["kernel"]}} for name, layer in NET.items()},
      "Conv_0/kernel Dense_0/kernel",
    ),
  ],
)
def test_flax_parameters_are_found_without_the_optimisers(tree, names):
  choice = wrappers.choose(tree, None)
  assert " ".join(sorted(choice.leaves)) == names
  for name, path in choice.paths.items():
    at = tree
    for key in path:
      at = at[key]
    assert at is choice.leaves[name]


def test_averaged_parameters_are_preferred():
  choice = wrappers.choose({"params": NET, "ema_params": NET}, None)
  assert choice.note == "ema_params; left out: params"
  assert all(path[0] == "ema_params" for path in choice.paths.values())


def test_a_layer_that_is_alone_keeps_its_name():
  names = {"module.conv.weight": (3, 3), "module.conv.bias": (3,)}
  choice = wrappers.choose(state(shapes=names), ".")
  assert list(choice.leaves) == ["conv.weight", "conv.bias"]


def test_a_dictionary_that_holds_itself_comes_to_an_end():
  own = {"a": state()}
  own["self"] = own
  assert wrappers.choose(own, ".").leaves.keys() == SHAPES.keys()


@pytest.mark.parametrize("tree", [{}, {"a": 1}, None, {"a": COUNTER}])
@pytest.mark.parametrize("separator", [".", None])
def test_where_no_weights_are_it_says_so(tree, separator):
  with pytest.raises(UserError, match="no floating-point arrays by name"):
    wrappers.choose(tree, separator)


@pytest.mark.parametrize("name", ["", "a\nb", "\x1b[31m", "x" * 10_000, "\ud800"])
def test_names_that_cannot_be_shown_are_refused(name):
  tree = {name: leaves.of_array(np.ones((2, 2), np.float32))}
  with pytest.raises(UserError, match="names are of 1 to") as caught:
    wrappers.choose(tree, ".")
  assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["__proto__", "../x", "a b", "größe", "a//b"])
def test_odd_names_are_kept(name):
  tree = {name: leaves.of_array(np.ones((2, 2), np.float32))}
  assert list(wrappers.choose(tree, ".").leaves) == [name]
