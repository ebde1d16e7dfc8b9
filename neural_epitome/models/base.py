"""What every backbone's configuration can do."""

import abc
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Self

from flax import linen as nn

from neural_epitome import codec
from neural_epitome.cost import inventory as inventories
from neural_epitome.domains import Positive, Share
from neural_epitome.errors import UserError

# Module path of the last layer of every backbone, the one that depends on the classes.
CLASSIFIER = "classifier"


@dataclasses.dataclass(frozen=True)
class Layers:
  """The factories an architecture builds its layers from.

  Attributes:
    conv: `conv(features, kernel_size, *, strides=1, padding=..., kernel_dilation=1,
      feature_group_count=1, use_bias=False, linear=False, name=...)`, as
      `layers.EpitomeConv` takes them; the padding is `symmetric_padding` unless it is
      given, the convention of the published torch models. `linear` says that nothing
      but batch norms, sums and other layers read the output, which a network that only
      runs may then carry as a `stream.Stream`. `kernel_init` is how the full kernel is
      drawn, as dense layers have it too; without it, as in published torch models.
    dense: `dense(features, *, use_bias=True, name=...)`, of (..., inputs).
    norm: `norm(use_running_average=..., name=...)`, a batch norm.
  """

  conv: Callable[..., nn.Module]
  dense: Callable[..., nn.Module]
  norm: Callable[..., nn.Module]


def symmetric_padding(
  kernel_size: Sequence[int], kernel_dilation: int | Sequence[int] = 1
) -> tuple[tuple[int, int], ...]:
  """(k - 1) // 2 * dilation zeros on both sides of each spatial axis.

  Args:
    kernel_size: k, one a spatial axis.
    kernel_dilation: one number, or one a spatial axis.
  """
  rank = len(kernel_size)
  is_one = isinstance(kernel_dilation, int)
  dilations = (kernel_dilation,) * rank if is_one else kernel_dilation
  sizes = zip(kernel_size, dilations, strict=True)
  margins = ((k - 1) // 2 * d for k, d in sizes)
  return tuple((margin, margin) for margin in margins)


@dataclasses.dataclass(frozen=True)
class NormOptions:
  """Batch norm.

  Attributes:
    momentum: share of the old value in one step of the moving averages.
    epsilon: added to the variance.
  """

  momentum: Share = 0.9
  epsilon: Positive = 1e-5


@dataclasses.dataclass(frozen=True)
class ChannelGroup:
  """Channels that can be left out of a network one by one, and nothing else with them.

  Attributes:
    name: of the group.
    members: axis of the channels in every kernel that has them, by parameter path.
    norms: module paths of the batch norms that have them; the last is nearest to
      the consumer.
    consumer: path of the kernel that reads the channels, on its axis -2.
    consumer_norm: module path of the batch norm after it, if there is one.
  """

  name: str
  members: Mapping[str, int]
  norms: tuple[str, ...]
  consumer: str
  consumer_norm: str | None


@dataclasses.dataclass(frozen=True)
class ModelConfig(codec.Variant, abc.ABC):
  """A backbone and its arguments; each arm is a frozen dataclass."""

  plugin_group: ClassVar[str] = "models"

  @abc.abstractmethod
  def build(self, classes: int, layers: Layers) -> nn.Module:
    """The Linen module.

    It is called as `module.apply(variables, images, train=..., keys=...)`, with
    images (batch, height, width, channels), and returns logits (batch, classes).
    Without them `train` is False and `keys` None. Its last layer is `CLASSIFIER`.
    `keys` holds one random key an example, for dropout in training only: noise
    keyed by example does not depend on how a batch is cut over devices.
    """

  def inventory(
    self, classes: int, input_shape: Sequence[int]
  ) -> inventories.Inventory | None:
    """The kernels of the network, of one that can tell them without being traced.

    Args:
      classes: number of classes.
      input_shape: (*space, channels) of its input.

    Returns:
      What `cost.inventory.take` would; None if that has to be asked.
    """
    del classes, input_shape
    return None

  def channel_groups(self) -> tuple[ChannelGroup, ...]:
    """The channels that pruning may leave out.

    Raises:
      UserError: if the architecture has none that are known.
    """
    raise UserError(
      f"A {self.kind} cannot be pruned: its channel groups are not known."
    )

  def narrowed(self, counts: Mapping[str, int]) -> Self:
    """The same network with exactly `counts` channels in its groups, by name.

    Raises:
      UserError: if the architecture has no known groups; see `channel_groups`.
    """
    del counts
    self.channel_groups()
    raise NotImplementedError
