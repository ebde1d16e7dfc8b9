"""From names and axes of torchvision and timm to ours."""

import numpy as np
import pytest
from flax import traverse_util

from neural_epitome import models
from neural_epitome.errors import UserError
from neural_epitome.state_dicts import conversion, names
from tests.state_dicts import networks
from tests.state_dicts.networks import SMALL

CASES = [(kind, one) for kind, model in SMALL.items() for one in names.layouts(model)]


def convert(state, model, channels=1):
  table = conversion.recognise(state, model)
  classes = conversion.count_classes(state, table)
  return conversion.convert(state, table, networks.take(model, classes, channels))


@pytest.mark.parametrize(("kind", "library"), CASES)
def test_every_variable_comes_from_its_own_tensor(kind, library):
  model = SMALL[kind]
  flat = networks.variables(model, 7)
  converted = convert(networks.state_dict(model, flat, library), model)
  converted = traverse_util.flatten_dict(converted, sep="/")
  assert converted.keys() == flat.keys()
  for path, array in flat.items():
    np.testing.assert_array_equal(converted[path], array)


# Names as the libraries' published files have them, of tensors of every kind.
@pytest.mark.parametrize(
  ("model", "library", "layer", "name"),
  [
    ("mobilenet_v2", "torchvision", "block_0/project", "features.1.conv.1"),
    ("mobilenet_v2", "torchvision", "block_16/depthwise", "features.17.conv.1.0"),
    ("mobilenet_v2", "torchvision", "head_norm", "features.18.1"),
    ("mobilenet_v2", "timm", "block_0/project_norm", "blocks.0.0.bn2"),
    ("mobilenet_v2", "timm", "block_15/project", "blocks.5.2.conv_pwl"),
    ("efficientnet", "torchvision", "block_0/se/squeeze", "features.1.0.block.1.fc1"),
    ("efficientnet", "torchvision", "block_15/project", "features.7.0.block.3.0"),
    ("efficientnet", "timm", "block_2/se/excite", "blocks.1.1.se.conv_expand"),
    ("resnet", "torchvision and timm", "block_15/norm_3", "layer4.2.bn3"),
    ("resnet", "torchvision and timm", "block_3/shortcut", "layer2.0.downsample.0"),
    ("vision_transformer", "timm", "stem", "patch_embed.proj"),
    ("vision_transformer", "timm", "positions", "pos_embed"),
    ("vision_transformer", "timm", "block_11/attention/qkv", "blocks.11.attn.qkv"),
    ("vision_transformer", "timm", "block_0/mlp_norm", "blocks.0.norm2"),
  ],
)
def test_layers_have_the_libraries_names(model, library, layer, name):
  full = {
    "mobilenet_v2": models.MobileNetV2Config(),
    "efficientnet": models.EfficientNetConfig(),
    "resnet": models.ResNetConfig(depth=50),
    "vision_transformer": models.VisionTransformerConfig(),
  }
  assert names.layouts(full[model])[library][layer] == name


def test_all_that_does_not_fit_is_told_at_once():
  model = SMALL["mobilenet_v2"]
  flat = networks.variables(model, 7)
  state = networks.state_dict(model, flat, "torchvision")
  for norm in ("features.0.1", "features.1.conv.0.1"):
    del state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
  state |= {"extra": np.zeros(1), "features.0.0.weight": np.zeros((8, 3, 3, 3))}
  with pytest.raises(UserError) as caught:
    convert(state, model)
  for words in (
    r"4 missing (features.0.1.running_mean, features.0.1.running_var, features.1.conv.",
    "...)",
    "1 left over (extra)",
    "1 of other shapes (features.0.0.weight gives [3, 3, 3, 8] for [3, 3, 1, 8])",
    "channels of config.data",
  ):
    assert words in str(caught.value)


def test_a_state_dict_of_another_architecture_is_refused():
  flat = networks.variables(SMALL["resnet"], 7)
  state = networks.state_dict(SMALL["resnet"], flat, "torchvision and timm")
  with pytest.raises(UserError, match="no mobilenet_v2 of torchvision or timm"):
    conversion.recognise(state, SMALL["mobilenet_v2"])
  with pytest.raises(UserError, match=r"missing .*, .* of other shapes"):
    convert(state, models.ResNetConfig(depth=50, width=0.125))
  with pytest.raises(UserError, match="Pretrained weights of a soundnet"):
    names.layouts(models.SoundNetConfig())


@pytest.mark.parametrize(
  ("path", "value", "message"),
  [
    ("params/head/kernel", np.inf, r"conv_head\.weight: not all numbers are finite"),
    (
      "batch_stats/block_0/depthwise_norm/var",
      -1.0,
      r"bn1\.running_var: a variance cannot be",
    ),
  ],
)
def test_what_no_network_has_is_refused_by_name(path, value, message):
  model = SMALL["mobilenet_v2"]
  flat = networks.variables(model, 7)
  flat[path].flat[0] = value
  with pytest.raises(UserError, match=message):
    convert(networks.state_dict(model, flat, "timm"), model)


@pytest.mark.parametrize("prefix", ["", "module.", "net.0.backbone._orig_mod."])
@pytest.mark.parametrize("kind", SMALL)
def test_names_fit_under_any_prefix(kind, prefix):
  model = SMALL[kind]
  flat = networks.variables(model, 7)
  state = networks.state_dict(model, flat, next(iter(names.layouts(model))))
  wrapped = {prefix + name: array for name, array in state.items()}
  beside = {"loss.weight": np.ones(3)} if prefix else {}
  unwrapped = conversion.unwrapped(wrapped | beside, model)
  assert unwrapped.keys() == state.keys()
  for name, array in state.items():
    assert unwrapped[name] is array


def test_what_fits_under_no_prefix_stays_as_it_is():
  state = {"a.conv1.weight": np.ones(1), "b.fc.weight": np.ones(1)}
  assert conversion.unwrapped(state, SMALL["resnet"]) == state
