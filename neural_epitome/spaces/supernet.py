"""The maximal network of a chain space, which computes any of its choices.

One set of parameters holds all of them: a width is a prefix of the channels, a window
the middle of the depthwise kernel, and a rate r the mean of each r channels that stand
together, which is the epitome nearest to the kernel. Shapes are static: what a choice
leaves out is masked, so that every image of a batch may have a choice of its own.

Training draws choices, from the keys of the examples. What is evaluated is the choice
in the variable collection `arch`, and the largest where there is none.
"""

import dataclasses
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from neural_epitome.epitome.geometry import Application
from neural_epitome.errors import UserError
from neural_epitome.models import blocks
from neural_epitome.models.base import Layers, ModelConfig, symmetric_padding
from neural_epitome.models.chain import OPERATIONS, bypass, widen
from neural_epitome.models.squeeze_excite import SqueezeExcite
from neural_epitome.spaces.arch import Arch
from neural_epitome.spaces.chain_space import ChainSpace, Position

Sampler = Literal["ordered_dropout", "single_path", "sandwich"]
# What the key of an example is folded with to draw its choice.
_ARCH_STREAM = 977


@dataclasses.dataclass(frozen=True)
class SupernetConfig(ModelConfig):
  """A supernet and how its training draws choices.

  Attributes:
    space: the choices.
    sampler: `ordered_dropout`, one choice an image, all in one pass (NetAdaptV2, arXiv
      2104.00031, section 2.3); `single_path`, one a device and step (SPOS, arXiv
      1904.00420); `sandwich`, several a step, one pass each: the largest, the
      smallest and drawn ones (arXiv 1903.05134).
    passes: of `sandwich`, the largest and smallest included.
    extremes: share of the images that ordered dropout gives the largest network, and
      the same to the smallest.
    dropout: probability of dropping a feature before the classifier.
  """

  kind: ClassVar[str] = "supernet"

  space: ChainSpace = ChainSpace()
  sampler: Sampler = "ordered_dropout"
  passes: int = 4
  extremes: float = 0.05
  dropout: float = 0.0

  def build(self, classes: int, layers: Layers) -> nn.Module:
    """The Linen module; see `ModelConfig.build`.

    Training by `sandwich` returns logits (passes, batch, classes).
    """
    self.space.check()
    if self.passes < 2:
      raise UserError(f"model.passes={self.passes} must be at least 2.")
    if not 0 <= self.extremes <= 0.5:
      raise UserError(f"model.extremes={self.extremes} must lie in [0, 0.5].")
    return Supernet(config=self, classes=classes, layers=layers)


class Supernet(nn.Module):
  """Stem, `block_0` and on, head, classifier, as `chain.Chain` names them.

  Attributes:
    config: its arguments.
    classes: number of classes.
    layers: factories.
  """

  config: SupernetConfig
  classes: int
  layers: Layers

  @nn.compact
  def __call__(
    self, images: jax.Array, train: bool = False, keys: jax.Array | None = None
  ) -> jax.Array:
    """Images (batch, height, width, channels) -> float32 logits (batch, classes)."""
    space, layers, frozen = self.config.space, self.layers, not train
    # Made once: a step may run them several times.
    stem = layers.conv(space.stem, (3, 3), strides=space.stem_stride, name="stem")
    stem_norm = layers.norm(use_running_average=frozen, name="stem_norm")
    residuals = [
      ElasticResidual(position, space, layers, name=f"block_{index}")
      for index, position in enumerate(space.positions)
    ]
    head = layers.conv(space.head, (1, 1), name="head")
    head_norm = layers.norm(use_running_average=frozen, name="head_norm")
    classifier = layers.dense(self.classes, name="classifier")

    def forward(arch: Arch) -> jax.Array:
      x = blocks.relu6(stem_norm(stem(images)))
      for index, residual in enumerate(residuals):
        of_block = {
          "window": arch.window[..., index],
          "width": arch.width[..., index],
          "operation": arch.operation[..., index],
          "rate": arch.rate[..., index, :],
        }
        x = residual(x, train, **of_block)
      last = arch.rate[..., -1, :]
      x = blocks.relu6(head_norm(_tied(head(x), last[..., 0], space.rates)))
      rate = self.config.dropout
      x = blocks.dropout(blocks.pool(x), keys, rate=rate, train=train)
      x = _tied(x, last[..., 1], space.rates)
      return classifier(x).astype(jnp.float32)

    if self.has_variable("arch", "arch"):
      return forward(self.get_variable("arch", "arch"))
    if not train or self.is_initializing():
      return forward(jax.tree.map(jnp.asarray, space.largest))
    if keys is None:
      raise ValueError("train=True draws choices, and needs `keys`.")
    if self.config.sampler == "ordered_dropout":
      return forward(jax.vmap(self._drawn)(_of_archs(keys)))
    key = _of_archs(keys)[0]
    if self.config.sampler == "single_path":
      return forward(space.draw(key))
    drawn = range(self.config.passes - 2)
    passes = [
      *(space.largest, space.smallest),
      *(space.draw(jax.random.fold_in(key, number)) for number in drawn),
    ]
    return jnp.stack([forward(jax.tree.map(jnp.asarray, arch)) for arch in passes])

  def _drawn(self, key: jax.Array) -> Arch:
    """A choice of one image; now and then the largest or the smallest."""
    space, share = self.config.space, self.config.extremes
    place = jax.random.uniform(jax.random.fold_in(key, 1))

    def pick(drawn: jax.Array, largest: jax.Array, smallest: jax.Array) -> jax.Array:
      other = jnp.where(place < share, largest, drawn)
      return jnp.where(place >= 1.0 - share, smallest, other)

    return jax.tree.map(pick, space.draw(key), space.largest, space.smallest)


def _of_archs(keys: jax.Array) -> jax.Array:
  return jax.vmap(jax.random.fold_in, (0, None))(keys, _ARCH_STREAM)


class ElasticResidual(nn.Module):
  """Any `chain.InvertedResidual` that a space has at one position.

  Genes are scalars, one choice for the batch, or (batch,), one an image.

  Attributes:
    position: where it stands.
    space: the choices.
    layers: factories.
  """

  position: Position
  space: ChainSpace
  layers: Layers

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    train: bool,
    *,
    window: jax.Array,
    width: jax.Array,
    operation: jax.Array,
    rate: jax.Array,
  ) -> jax.Array:
    """(batch, height, width, inputs) -> the same, strided, `features` channels."""
    conv, norm, frozen = self.layers.conv, self.layers.norm, not train
    position, space = self.position, self.space
    hidden = position.largest
    channel = jnp.arange(hidden).reshape(*(1,) * width.ndim, -1)
    mask = (channel < width[..., None]).astype(jnp.float32)
    # Only where images differ does a batch norm need to know which have a channel.
    known = None if width.ndim == 0 else mask
    masking = _beside(mask, x.ndim).astype(x.dtype)

    y = conv(hidden, (1, 1), name="expand")(x)
    y = _tied(y, rate[..., 0], space.rates)
    expand_norm = norm(use_running_average=frozen, name="expand_norm")
    y = blocks.relu6(expand_norm(y, known)) * masking
    geometry = {"strides": position.stride, "feature_group_count": hidden}
    largest = (max(space.windows),) * 2
    depthwise = conv(hidden, largest, name="depthwise", **geometry)
    y = depthwise(y, ElasticWindow(space.windows, position.stride, window))
    depthwise_norm = norm(use_running_average=frozen, name="depthwise_norm")
    y = blocks.relu6(depthwise_norm(y, known)) * masking
    if "squeeze_excite" in space.operations:
      squeezed = max(1, position.features // space.squeeze)
      gated = SqueezeExcite(squeezed, self.layers, name="se")(y)
      index = OPERATIONS.index("squeeze_excite")
      y = jnp.where(_beside(operation, y.ndim, 0) == index, gated, y)
    # The mean of what tied weights read, for the mean of the weights.
    y = _tied(y, rate[..., 1], space.rates)
    y = conv(position.features, (1, 1), name="project")(y)
    is_kept = width > 0
    ones = jnp.ones((1, position.features), jnp.float32)
    if known is not None:
      known = is_kept[:, None].astype(jnp.float32) * ones
    y = norm(use_running_average=frozen, name="project_norm")(y, known)
    if position.is_residual:
      y = y + x
    passed = widen(bypass(x, position.features, position.stride), position.features)
    return jnp.where(_beside(is_kept, y.ndim, 0), y, passed)


@dataclasses.dataclass(frozen=True)
class ElasticWindow:
  """A depthwise convolution by the middle of a kernel.

  Attributes:
    windows: heights and widths that it may have, odd; the kernel has the largest.
    stride: of the window.
    chosen: scalar, or (batch,), of each image.
  """

  windows: tuple[int, ...]
  stride: int
  chosen: jax.Array

  def __call__(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """(batch, height, width, channels) -> the same, strided."""
    largest = kernel.shape[0]
    if self.chosen.ndim == 0:
      distance = np.abs(np.arange(largest) - largest // 2)
      ring = np.maximum(distance[:, None], distance)
      inside = (2 * ring < self.chosen).astype(kernel.dtype)[..., None, None]
      return self._convolved(x, kernel * inside)
    y = None
    for size in sorted(self.windows):
      edge = (largest - size) // 2
      middle = slice(edge, largest - edge)
      found = self._convolved(x, kernel[middle, middle])
      is_chosen = _beside(self.chosen, x.ndim, 0) == size
      y = found if y is None else jnp.where(is_chosen, found, y)
    return y

  def _convolved(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
    size = kernel.shape[:2]
    application = Application.of_convolution(
      size, self.stride, symmetric_padding(size), feature_group_count=x.shape[-1]
    )
    return application(x, kernel)


def _beside(value: jax.Array, ndim: int, channel_axes: int = 1) -> jax.Array:
  """Genes or masks, of the batch or of each image, shaped to broadcast."""
  count = value.ndim - channel_axes
  batch, channels = value.shape[:count], value.shape[count:]
  missing = ndim - 1 - len(channels)
  return value.reshape(*(batch or (1,)), *(1,) * missing, *channels)


def _tied(x: jax.Array, rate: jax.Array, rates: tuple[int, ...]) -> jax.Array:
  """Each `rate` channels that stand together replaced by their mean.

  A 1x1 convolution is linear: so its outputs, or inputs, are those of the kernel whose
  weights are replaced by their means, without a kernel for every image.
  """
  *_, most = rates = tuple(sorted(rates))
  if most == 1:
    return x
  # Products with a small matrix an image: XLA's CPU compiler makes slow code of
  # reductions over so few channels.
  number = np.arange(most)
  means = [(number[:, None] // count == number // count) / count for count in rates]
  chosen = jnp.searchsorted(jnp.asarray(rates), rate)
  matrix = jnp.asarray(np.stack(means), x.dtype)[chosen]
  groups = x.reshape(x.shape[0], -1, most)
  exact = jax.lax.Precision.HIGHEST
  return jnp.matmul(groups, matrix, precision=exact).reshape(x.shape)
