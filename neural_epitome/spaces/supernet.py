"""The maximal network of a chain space, which computes any of its choices.

One set of parameters holds all of them: a width is a prefix of the channels, a window
the middle of the spatial kernel, and a rate r the mean of each r channels that stand
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
from neural_epitome.models import ends, functions
from neural_epitome.models.base import Layers, ModelConfig, symmetric_padding
from neural_epitome.models.block import Block, ConvSpec, SqueezeExciteSpec, middle
from neural_epitome.models.block_module import (
  ACTIVATIONS,
  SqueezeExcite,
  bypass,
  conv_layer,
  widen,
)
from neural_epitome.models.chain import OPERATIONS
from neural_epitome.spaces.arch import Arch
from neural_epitome.spaces.chain_space import ChainSpace

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
    first = ends.stem(images.shape[-1], space.stem, space.stem_stride)
    features = space.positions[-1].features
    last, classes = ends.head(features, space.head, self.classes).layers
    stem, head, classifier = (conv_layer(s, layers) for s in (first, last, classes))
    stem_norm, head_norm = (
      layers.norm(use_running_average=frozen, name=s.norm) for s in (first, last)
    )
    residuals = [
      ElasticBlock(
        space.maximal(index), space.windows, space.rates, layers, name=f"block_{index}"
      )
      for index in range(len(space.positions))
    ]

    def forward(arch: Arch) -> jax.Array:
      x = ACTIVATIONS[first.activation](stem_norm(stem(images)))
      for index, residual in enumerate(residuals):
        of_block = {
          "window": arch.window[..., index],
          "width": arch.width[..., index],
          "operation": arch.operation[..., index],
          "rate": arch.rate[..., index, :],
        }
        x = residual(x, train, **of_block)
      rates = arch.rate[..., -1, :]
      x = head_norm(_tied(head(x), rates[..., 0], space.rates))
      x = ACTIVATIONS[last.activation](x)
      rate = self.config.dropout
      x = functions.dropout(functions.pool(x), keys, rate=rate, train=train)
      x = _tied(x, rates[..., 1], space.rates)
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


class ElasticBlock(nn.Module):
  """A declared block that computes any of its narrower forms.

  Genes are scalars, one choice for the batch, or (batch,), one an image.

  Attributes:
    block: the declaration of the largest form.
    windows: sizes that the kernels may have where they shrink.
    rates: epitome rates that kernels may have.
    layers: factories.
  """

  block: Block
  windows: tuple[int, ...]
  rates: tuple[int, ...]
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
    block = self.block
    channel = jnp.arange(block.hidden.count).reshape(*(1,) * width.ndim, -1)
    mask = (channel < width[..., None]).astype(jnp.float32)
    is_kept = width > 0
    masking = _beside(mask, x.ndim).astype(x.dtype)

    def convolved(spec: ConvSpec, y: jax.Array) -> jax.Array:
      if spec.shrinking_axis == -2:
        # The mean of what tied weights read, for the mean of the weights.
        y = _tied(y, rate[..., 1], self.rates)
      kernel = (ElasticKernel(spec, self.windows, window),) * spec.kernel_shrinks
      y = conv_layer(spec, self.layers)(y, *kernel)
      if spec.shrinking_axis == -1:
        y = _tied(y, rate[..., 0], self.rates)
      if spec.norm is not None:
        norm = self.layers.norm(use_running_average=not train, name=spec.norm)
        y = norm(y, known(spec))
      y = ACTIVATIONS[spec.activation](y)
      return y * masking if spec.outputs.shrinks else y

    def known(spec: ConvSpec) -> jax.Array | None:
      """Which images have which channels, where images differ."""
      if width.ndim == 0:
        return None
      if spec.outputs.shrinks:
        return mask
      ones = jnp.ones((1, spec.outputs.count), jnp.float32)
      return is_kept[:, None].astype(jnp.float32) * ones

    y = x
    for layer in block.layers:
      if isinstance(layer, ConvSpec):
        y = convolved(layer, y)
      elif isinstance(layer, SqueezeExciteSpec):
        gated = SqueezeExcite(layer, self.layers, name=layer.name)(y)
        index = OPERATIONS.index("squeeze_excite")
        y = jnp.where(_beside(operation, y.ndim, 0) == index, gated, y)
    if isinstance(block.shortcut, ConvSpec):
      y = y + convolved(block.shortcut, x)
    elif block.shortcut == "identity":
      y = y + x
    y = ACTIVATIONS[block.activation](y)
    features = block.features.count
    passed = widen(bypass(x, features, block.stride), features)
    return jnp.where(_beside(is_kept, y.ndim, 0), y, passed)


@dataclasses.dataclass(frozen=True)
class ElasticKernel:
  """A convolution by the middle of a kernel.

  Attributes:
    spec: the convolution by the whole kernel.
    windows: heights and widths that it may have, odd; the kernel has the largest. On an
      axis on which the kernel is one number wide it stays so.
    chosen: scalar, or (batch,), of each image.
  """

  spec: ConvSpec
  windows: tuple[int, ...]
  chosen: jax.Array

  def __call__(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """(batch, height, width, channels) -> the same, strided."""
    shape = kernel.shape[:2]
    if self.chosen.ndim == 0:
      rows, columns = (np.abs(np.arange(size) - size // 2) for size in shape)
      ring = np.maximum(rows[:, None], columns)
      inside = (2 * ring < self.chosen).astype(kernel.dtype)[..., None, None]
      return self._convolved(x, kernel * inside)
    y = None
    for size in sorted(self.windows):
      part = middle(shape, [min(size, whole) for whole in shape])
      found = self._convolved(x, kernel[part])
      is_chosen = _beside(self.chosen, x.ndim, 0) == size
      y = found if y is None else jnp.where(is_chosen, found, y)
    return y

  def _convolved(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
    spec, size = self.spec, kernel.shape[:2]
    application = Application.of_convolution(
      size,
      spec.strides,
      symmetric_padding(size, spec.kernel_dilation),
      spec.kernel_dilation,
      spec.feature_group_count,
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
