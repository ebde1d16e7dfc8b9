"""What every backbone's configuration can do."""

import abc
import dataclasses
from collections.abc import Callable

from flax import linen as nn

from neural_epitome import codec


@dataclasses.dataclass(frozen=True)
class Layers:
  """The factories an architecture builds its layers from.

  Attributes:
    conv: `conv(features, window, *, strides=1, groups=1, dilation=1, padding=None,
      use_bias=False, name=...)`; `padding=None` is (window - 1) // 2 * dilation
      on both sides, the convention of the published torch models.
    dense: `dense(features, *, use_bias=True, name=...)`.
    norm: `norm(use_running_average=..., name=...)`, a batch norm.
  """

  conv: Callable[..., nn.Module]
  dense: Callable[..., nn.Module]
  norm: Callable[..., nn.Module]


@dataclasses.dataclass(frozen=True)
class NormOptions:
  """Batch norm.

  Attributes:
    momentum: share of the old value in one step of the moving averages.
    epsilon: added to the variance.
  """

  momentum: float = 0.9
  epsilon: float = 1e-5


class ModelConfig(codec.Variant, abc.ABC):
  """A backbone and its arguments; each arm is a frozen dataclass."""

  @abc.abstractmethod
  def build(self, classes: int, layers: Layers) -> nn.Module:
    """The Linen module.

    It is called as `module.apply(variables, images, train=..., keys=...)`, with
    images (batch, height, width, channels), and returns logits (batch, classes).
    `keys` holds one random key an example, for dropout in training only: noise
    keyed by example does not depend on how a batch is cut over devices.
    """
