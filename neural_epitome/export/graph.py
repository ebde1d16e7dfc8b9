"""Where a kernel of a network stands: what its layer reads, and what reads its layer.

A network says so itself: it is traced once, with nothing computed.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from neural_epitome.epitome.geometry import Application
from neural_epitome.epitome.layers import GeneratedLayer
from neural_epitome.epitome.stream import Stream
from neural_epitome.models.normalization import BatchNorm
from neural_epitome.training.trained import Trained


@dataclasses.dataclass(frozen=True)
class Site:
  """One kernel's place.

  Attributes:
    input_shape: of what its layer reads, batch first.
    application: of the kernel.
    norm: path of a batch norm that reads the layer's output as it comes, if there is
      one. In no network of this package does anything else read that output too.
    reads: channels in which a stream comes to the layer; None for an activation.
    writes: whether the layer's output is a stream.
  """

  input_shape: tuple[int, ...]
  application: Application
  norm: str | None = None
  reads: int | None = None
  writes: bool = False


def find(trained: Trained, batch: int = 1) -> dict[str, Site]:
  """The site of every kernel, by its path, for a batch of so many examples."""
  sites: dict[str, Site] = {}
  # Kept, so that no other array is ever one of these.
  outputs: list[tuple[str, jax.Array | Stream]] = []

  def watch(call: Any, arguments: Any, options: Any, context: Any) -> Any:
    module = context.module
    path = "/".join((*module.path, "kernel"))
    if isinstance(module, GeneratedLayer) and context.method_name == "_apply_kernel":
      x, _, application = arguments
      result = call(*arguments, **options)
      reads = x.cells if isinstance(x, Stream) else None
      writes = isinstance(result, Stream)
      sites[path] = Site(x.shape, application, reads=reads, writes=writes)
      outputs.append((path, result))
      return result
    if isinstance(module, BatchNorm) and context.method_name == "__call__":
      for reader, output in outputs:
        if output is arguments[0]:
          norm = "/".join(module.path)
          sites[reader] = dataclasses.replace(sites[reader], norm=norm)
    return call(*arguments, **options)

  def run(images: jax.Array) -> jax.Array:
    with nn.intercept_methods(watch):
      answers: Any = trained.model.apply(trained.variables, images, train=False)
      return answers

  shape = (batch, *trained.config.data.input_shape)
  jax.eval_shape(run, jax.ShapeDtypeStruct(shape, jnp.float32))
  return sites
