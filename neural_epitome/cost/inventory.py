"""One abstract pass over an architecture: every kernel it wants, with its place."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from neural_epitome.cost.products import Product
from neural_epitome.epitome.geometry import KernelUse, kernel_shape, kernel_sizes
from neural_epitome.epitome.layers import EpitomeConv, EpitomeDense
from neural_epitome.epitome.sampling import Shape


@dataclasses.dataclass(frozen=True)
class Inventory:
  """All that an architecture trains when nothing of it is compressed.

  Attributes:
    kernels: in the order of the forward pass.
    rest: shapes of all other trained parameters (biases, batch-norm scale and
      bias), by path.
    products: multiply-adds of one example in each product of activations, by the path
      of its module.
    layer_norms: paths of the modules in `rest` that have a scale and, unlike batch
      norms, no running statistics.
  """

  kernels: tuple[KernelUse, ...]
  rest: Mapping[str, Shape]
  products: Mapping[str, int] = dataclasses.field(default_factory=dict)
  layer_norms: frozenset[str] = frozenset()

  @property
  def batch_norms(self) -> tuple[str, ...]:
    """Paths of the modules that have a scale and running statistics."""
    scaled = (path.rpartition("/") for path in self.rest)
    paths = (layer for layer, _, last in scaled if last == "scale")
    return tuple(path for path in paths if path not in self.layer_norms)

  @property
  def rest_size(self) -> int:
    """Numbers stored beside the kernels."""
    return sum(map(math.prod, self.rest.values()))

  @property
  def size(self) -> int:
    """Parameters of the dense network."""
    return sum(use.size for use in self.kernels) + self.rest_size


def take(module: nn.Module, image_shape: Shape) -> Inventory:
  """Lists the kernels of a model without running it.

  Args:
    module: a model built from `EpitomeConv` and `EpitomeDense` (with their default
      dense generator, or any plan), and from `Product` where activations meet.
    image_shape: (height, width, channels) of its input.
  """
  uses: dict[str, KernelUse] = {}
  products: dict[str, int] = {}
  layer_norms: set[str] = set()

  def record(call: Any, arguments: Any, keywords: Any, context: Any) -> Any:
    output = call(*arguments, **keywords)
    layer = context.module
    if context.method_name != "__call__":
      return output
    match layer:
      case EpitomeConv() | EpitomeDense():
        inputs = arguments[0] if arguments else keywords["inputs"]
        use = _use(layer, inputs.shape, output.shape)
        uses[use.path] = use
      case Product():
        first, second = arguments
        products["/".join(layer.path)] = layer.madds(first.shape, second.shape)
      case nn.LayerNorm():
        layer_norms.add("/".join(layer.path))
    return output

  def init(images: jax.Array) -> Any:
    with nn.intercept_methods(record):
      return module.init(jax.random.key(0), images)

  images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  params = jax.eval_shape(init, images).get("params", {})
  layers = {use.path.removesuffix("kernel") for use in uses.values()}
  rest = {}
  for path, leaf in jax.tree_util.tree_leaves_with_path(params):
    name = "/".join(key.key for key in path)
    parent, _, last = name.rpartition("/")
    # What a layer holds beside its bias is the kernel, stored whole or otherwise.
    if last == "bias" or parent + "/" not in layers:
      rest[name] = tuple(leaf.shape)
  return Inventory(tuple(uses.values()), rest, products, frozenset(layer_norms))


def _use(layer: Any, input_shape: Shape, output_shape: Shape) -> KernelUse:
  path = "/".join((*layer.path, "kernel"))
  if isinstance(layer, EpitomeDense):
    shape, size = (input_shape[-1], layer.features), tuple(input_shape[1:-1])
    return KernelUse(path, shape, input_size=size, output_size=size)
  sizes, groups = kernel_sizes(layer.kernel_size), layer.feature_group_count
  space = slice(-1 - len(sizes), -1)
  return KernelUse(
    path,
    kernel_shape(sizes, input_shape[-1], layer.features, groups),
    groups,
    layer.application().strides,
    tuple(input_shape[space]),
    tuple(output_shape[space]),
  )
