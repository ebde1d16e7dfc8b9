"""The maximal network of a chain space, which computes any of its choices.

One set of parameters holds all of them: a width is a prefix of the channels, a window
the middle of the spatial kernel, and a rate r the mean of each r channels that stand
together, which is the epitome nearest to the kernel. Shapes are static: what a choice
leaves out is masked, so that every image of a batch may have a choice of its own.

Training draws choices, from the keys of the examples. What is evaluated is the choice
in the variable collection `arch`, and the largest where there is none.
"""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from neural_epitome.domains import Decay, Domain
from neural_epitome.errors import UserError
from neural_epitome.models import ends, functions
from neural_epitome.models.base import Layers, ModelConfig
from neural_epitome.models.block_module import ACTIVATIONS, conv_layer
from neural_epitome.planning import Planner
from neural_epitome.spaces import (
  chain_description,
  chain_generators,
  latency,
  slicing,
)
from neural_epitome.spaces.arch import Arch
from neural_epitome.spaces.chain_space import ChainSpace
from neural_epitome.spaces.cost_model import Prices
from neural_epitome.spaces.description import Description
from neural_epitome.spaces.elastic_block import ElasticBlock, tied
from neural_epitome.spaces.searchable import Searchable

Sampler = Literal["ordered_dropout", "single_path", "sandwich"]
# What the key of an example is folded with to draw its choice.
_ARCH_STREAM = 977


@dataclasses.dataclass(frozen=True)
class SupernetConfig(Searchable):
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
  passes: Annotated[int, Domain(least=2, most=1024)] = 4
  extremes: Annotated[float, Domain(least=0, most=0.5)] = 0.05
  dropout: Decay = 0.0

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

  def prices(self, classes: int, channels: int, table: Any = None) -> Prices:
    """See `Searchable.prices`."""
    return Prices(self.space, classes, channels, table)

  def latency_table(self, path: str, *, anywhere: bool) -> latency.LatencyTable:
    """See `Searchable.latency_table`."""
    return latency.load(path, self.space, anywhere=anywhere)

  def with_choice(self, variables: Mapping[str, Any], arch: Arch) -> dict[str, Any]:
    """See `slicing.with_choice`."""
    return slicing.with_choice(variables, self.space, arch)

  def sliced(self, variables: Mapping[str, Any], arch: Arch) -> dict[str, Any]:
    """See `slicing.slice_variables`."""
    return slicing.slice_variables(variables, self.space, arch)

  def final(self, arch: Arch, classes: int) -> tuple[ModelConfig, Planner]:
    """The chain, at the choice's rates and bits, with the supernet's dropout."""
    network = dataclasses.replace(self.space.network(arch), dropout=self.dropout)
    return network, chain_generators.of_choice(self.space, arch, classes)

  def describe(self, arch: Arch) -> Description:
    """See `chain_description`."""
    return chain_description.describe(self.space, arch)


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
    ending = ends.head(features, space.head, self.classes)
    last, classes = (spec for _, spec in ending.convolutions())
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
      x = head_norm(tied(head(x), rates[..., 0], space.rates))
      x = ACTIVATIONS[last.activation](x)
      rate = self.config.dropout
      x = functions.dropout(functions.pool(x), keys, rate=rate, train=train)
      x = tied(x, rates[..., 1], space.rates)
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
