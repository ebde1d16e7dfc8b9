"""StableHLO by `jax.export`: one file for any batch size on CPU, CUDA and TPU.

    answer = jax.export.deserialize(Path("network.stablehlo").read_bytes()).call(images)

It runs without this package; JAX promises to read such a file for six months after
the version that wrote it.
"""

import os
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from neural_epitome.epitome import convolution
from neural_epitome.export import program
from neural_epitome.training.trained import Trained

ENDING = ".stablehlo"
IS_PROGRAM = True
RUNTIME = "XLA"
PLATFORMS = ("cpu", "cuda", "tpu")


def write(path: str | os.PathLike, trained: Trained) -> None:
  """Writes the network as it is run, its numbers inside.

  Args:
    path: of the file.
    trained: from `program`; its model says how kernels are run.
  """
  (batch,) = jax.export.symbolic_shape("batch")
  images = jax.ShapeDtypeStruct((batch, *trained.config.data.input_shape), jnp.float32)

  with convolution.spelled("platform"):
    exported = jax.export.export(jax.jit(program.logits(trained)), platforms=PLATFORMS)(
      images
    )
  Path(path).write_bytes(exported.serialize())


def read(path: str | os.PathLike) -> Callable[[jax.Array], jax.Array]:
  """A function from images to logits: the program in the file, run by JAX."""
  exported = jax.export.deserialize(bytearray(Path(path).read_bytes()))
  return jax.jit(exported.call)


def compiled(
  layer: Callable[[jax.Array], jax.Array], shape: tuple[int, ...]
) -> Callable[[np.ndarray], jax.Array]:
  """Compiles a function of one array with XLA.

  Args:
    layer: the function.
    shape: of the array.

  Returns:
    A call of the compiled function, which returns when the result is there.
  """
  del shape
  run = jax.jit(layer)
  return lambda x: run(x).block_until_ready()
