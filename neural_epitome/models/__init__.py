"""Backbones, one file each; importing one here registers it."""

import functools
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from neural_epitome.epitome.execution import Execution
from neural_epitome.epitome.generators import Dense
from neural_epitome.epitome.layers import EpitomeConv, EpitomeDense
from neural_epitome.epitome.plan import Plan
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.models.base import (
  Layers,
  ModelConfig,
  NormOptions,
  symmetric_padding,
)
from neural_epitome.models.cell_network import CellNetworkConfig
from neural_epitome.models.chain import ChainConfig
from neural_epitome.models.efficientnet import EfficientNetConfig
from neural_epitome.models.mobilenet_v2 import MobileNetV2Config
from neural_epitome.models.multi_branch import MultiBranchConfig
from neural_epitome.models.normalization import Affine, BatchNorm
from neural_epitome.models.resnet import ResNetConfig
from neural_epitome.models.soundnet import SoundNetConfig
from neural_epitome.models.vision_transformer import VisionTransformerConfig

__all__ = [
  "CellNetworkConfig",
  "ChainConfig",
  "EfficientNetConfig",
  "Layers",
  "MobileNetV2Config",
  "ModelConfig",
  "MultiBranchConfig",
  "NormOptions",
  "ResNetConfig",
  "SoundNetConfig",
  "VisionTransformerConfig",
  "create",
  "make_layers",
]

# Variance 2 / fan-out, as the published torch models start; a depthwise kernel's
# fan-out is that of one group there, which `kernel_init` cannot see, so it is
# scaled by fan-in instead, the same number for a depthwise kernel.
_KERNEL_INIT = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
_DENSE_INIT = nn.initializers.normal(0.01)


def create(config: ModelConfig, classes: int, **options: Any) -> nn.Module:
  """Builds a backbone whose kernels are generated as a plan says.

  Args:
    config: the architecture.
    classes: number of classes.
    **options: see `make_layers`.

  Returns:
    The module; see `ModelConfig.build`.
  """
  return config.build(classes, make_layers(**options))


def make_layers(
  *,
  plan: Plan | None = None,
  indices: IndexOptions | None = None,
  execution: Execution | Mapping[str, Execution] = "materialise",
  norm: NormOptions | None = None,
  dtype: Any = jnp.float32,
  axis_name: str | None = None,
  norm_axis_name: str | None = None,
  merged: bool = False,
) -> Layers:
  """The factories of layers whose kernels are generated as a plan says.

  Args:
    plan: of exactly the architecture they are for; None stores every kernel in full.
    indices: where sampling offsets come from in training.
    execution: of the layers, see `layers.GeneratedLayer`.
    norm: momentum and epsilon of the batch norms.
    dtype: of activations and generated kernels.
    axis_name: mesh axis over which index learners average.
    norm_axis_name: mesh axis over which batch norms take their statistics; None
      for those of each device.
    merged: whether the statistics of every batch norm are merged into its scale and
      bias, of which some scales may be absent: a network that only runs.
  """
  norm = norm or NormOptions()
  shared = {
    "generator": Dense() if plan is None else plan,
    "indices": indices or IndexOptions(),
    "execution": execution,
    "dtype": dtype,
    "axis_name": axis_name,
  }

  def conv(features: int, kernel_size: tuple[int, ...], **options: Any) -> EpitomeConv:
    padding = symmetric_padding(kernel_size, options.get("kernel_dilation", 1))
    usual: dict[str, Any] = {"padding": padding, "use_bias": False, "streams": merged}
    usual |= {"kernel_init": _KERNEL_INIT}
    return EpitomeConv(features, kernel_size, **usual | shared | options)

  def dense(features: int, **options: Any) -> EpitomeDense:
    usual: dict[str, Any] = {"kernel_init": _DENSE_INIT}
    return EpitomeDense(features=features, **usual | shared | options)

  batch_norm = functools.partial(
    BatchNorm,
    momentum=norm.momentum,
    epsilon=norm.epsilon,
    dtype=dtype,
    axis_name=norm_axis_name,
  )
  affine = functools.partial(Affine, dtype=dtype)
  return Layers(conv=conv, dense=dense, norm=affine if merged else batch_norm)
