"""What torchvision, timm and transformers call the layers of our networks.

A table goes from the path of a layer here to the prefix of its tensors there. It may
have layers that a configuration has not: squeeze-and-excitation, for one. A parameter
that is of no layer, such as a class token, stands in it by its own path and full name.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from neural_epitome.errors import UserError
from neural_epitome.models import efficientnet
from neural_epitome.models.base import ModelConfig
from neural_epitome.state_dicts import projections

Names = dict[str, str]

_TIMM_PLAIN = {
  "depthwise": "conv_dw",
  "depthwise_norm": "bn1",
  "se/squeeze": "se.conv_reduce",
  "se/excite": "se.conv_expand",
  "project": "conv_pw",
  "project_norm": "bn2",
}
_TIMM_EXPANDED = _TIMM_PLAIN | {
  "expand": "conv_pw",
  "expand_norm": "bn1",
  "depthwise_norm": "bn2",
  "project": "conv_pwl",
  "project_norm": "bn3",
}


def layouts(model: ModelConfig) -> dict[str, Names]:
  """The tables of an architecture, by library.

  Raises:
    UserError: for an architecture that none is known of.
  """
  if model.kind not in _LAYOUTS:
    raise UserError(
      f"Pretrained weights of a {model.kind} are not known; of "
      f"{', '.join(_LAYOUTS)} they are."
    )
  return {library: make(model) for library, make in _LAYOUTS[model.kind].items()}


def _places(repeats: Iterable[int]) -> Iterator[tuple[int, int, int]]:
  """Every block, its stage and its place there."""
  block = 0
  for stage, count in enumerate(repeats):
    for place in range(count):
      yield block, stage, place
      block += 1


def _within(ours: str, theirs: str, parts: Mapping[str, str]) -> Names:
  return {f"{ours}/{part}": f"{theirs}.{name}" for part, name in parts.items()}


def _mobilenet_repeats(model: Any) -> list[int]:
  return [math.ceil(count * model.depth) for *_, count in model.stages]


def _mobilenet_torchvision(model: Any) -> Names:
  names, head = {"stem": "features.0.0", "stem_norm": "features.0.1"}, 1
  for block, stage, _ in _places(_mobilenet_repeats(model)):
    parts, first = {}, int(model.stages[stage][0] != 1)
    if first:
      parts = {"expand": "0.0", "expand_norm": "0.1"}
    parts |= {"depthwise": f"{first}.0", "depthwise_norm": f"{first}.1"}
    parts |= {"project": str(first + 1), "project_norm": str(first + 2)}
    names |= _within(f"block_{block}", f"features.{block + 1}.conv", parts)
    head = block + 2
  names |= {"head": f"features.{head}.0", "head_norm": f"features.{head}.1"}
  return names | {"classifier": "classifier.1"}


def _timm(stages: Iterable[tuple[Any, ...]], repeats: Iterable[int]) -> Names:
  """Both mobile networks; a stage begins with its expansion."""
  names, stages = {"stem": "conv_stem", "stem_norm": "bn1"}, tuple(stages)
  for block, stage, place in _places(repeats):
    parts = _TIMM_PLAIN if stages[stage][0] == 1 else _TIMM_EXPANDED
    names |= _within(f"block_{block}", f"blocks.{stage}.{place}", parts)
  return names | {"head": "conv_head", "head_norm": "bn2", "classifier": "classifier"}


def _efficientnet_repeats(model: Any) -> list[int]:
  return [model.repeats(count) for *_, count in efficientnet.STAGES]


def _efficientnet_torchvision(model: Any) -> Names:
  names = {"stem": "features.0.0", "stem_norm": "features.0.1"}
  for block, stage, place in _places(_efficientnet_repeats(model)):
    layers = ["expand", "depthwise", "se", "project"]
    parts = {}
    for position, layer in enumerate(layers[efficientnet.STAGES[stage][0] == 1 :]):
      if layer == "se":
        parts |= {"se/squeeze": f"{position}.fc1", "se/excite": f"{position}.fc2"}
      else:
        parts |= {layer: f"{position}.0", f"{layer}_norm": f"{position}.1"}
    theirs = f"features.{stage + 1}.{place}.block"
    names |= _within(f"block_{block}", theirs, parts)
  head = f"features.{len(efficientnet.STAGES) + 1}"
  names |= {"head": f"{head}.0", "head_norm": f"{head}.1"}
  return names | {"classifier": "classifier.1"}


def _resnet(model: Any) -> Names:
  parts = {"shortcut": "downsample.0", "shortcut_norm": "downsample.1"}
  for number in (1, 2, 3):
    parts |= {f"conv_{number}": f"conv{number}", f"norm_{number}": f"bn{number}"}
  names = {"stem": "conv1", "stem_norm": "bn1", "classifier": "fc"}
  for block, stage, place in _places(model.repeats()):
    names |= _within(f"block_{block}", f"layer{stage + 1}.{place}", parts)
  return names


def _vision_transformer_timm(model: Any) -> Names:
  parts = {
    "attention_norm": "norm1",
    "attention/qkv": "attn.qkv",
    "attention/output": "attn.proj",
    "mlp_norm": "norm2",
    "expand": "mlp.fc1",
    "project": "mlp.fc2",
  }
  names = {"stem": "patch_embed.proj", "norm": "norm", "classifier": "head"}
  for block in range(model.depth):
    names |= _within(f"block_{block}", f"blocks.{block}", parts)
  return names | {"class_token": "cls_token", "positions": "pos_embed"}


def _vision_transformer_transformers(model: Any) -> Names:
  """`ViTForImageClassification`, its three projections joined; see `projections`."""
  parts = {
    "attention_norm": "layernorm_before",
    "attention/qkv": f"attention.attention.{projections.JOINED}",
    "attention/output": "attention.output.dense",
    "mlp_norm": "layernorm_after",
    "expand": "intermediate.dense",
    "project": "output.dense",
  }
  before = "vit.embeddings"
  names = {
    "stem": f"{before}.patch_embeddings.projection",
    "norm": "vit.layernorm",
    "classifier": "classifier",
    "class_token": f"{before}.cls_token",
    "positions": f"{before}.position_embeddings",
  }
  for block in range(model.depth):
    names |= _within(f"block_{block}", f"vit.encoder.layer.{block}", parts)
  return names


_LAYOUTS: Mapping[str, Mapping[str, Callable[[Any], Names]]] = {
  "mobilenet_v2": {
    "torchvision": _mobilenet_torchvision,
    "timm": lambda model: _timm(model.stages, _mobilenet_repeats(model)),
  },
  "efficientnet": {
    "torchvision": _efficientnet_torchvision,
    "timm": lambda model: _timm(efficientnet.STAGES, _efficientnet_repeats(model)),
  },
  # Both libraries have the same names.
  "resnet": {"torchvision and timm": _resnet},
  "vision_transformer": {
    "timm": _vision_transformer_timm,
    "transformers": _vision_transformer_transformers,
  },
}
