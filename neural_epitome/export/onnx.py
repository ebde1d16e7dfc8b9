"""ONNX by jax2onnx, run by ONNX Runtime: one file for any batch size.

In the folded form, the default, it holds epitomes and has fewer multiply-adds, with
standard operators alone. Needs the extra `onnx`.
"""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np

from neural_epitome.epitome import convolution
from neural_epitome.epitome.plan import KernelPlan
from neural_epitome.epitome.sampling import Shape
from neural_epitome.errors import UserError
from neural_epitome.export import packages
from neural_epitome.training.loading import Trained

IS_PROGRAM = True


def write(path: str | os.PathLike, trained: Trained) -> None:
  """Writes the network as it is run, its numbers inside, in float32.

  Args:
    path: of the file.
    trained: from `program`; its model says how kernels are run.

  Raises:
    UserError: for a kernel whose blocks are read from places of their own, which
      jax2onnx has no operator for, or another thing it does not know.
  """
  for name, kernel in trained.plan.kernels.items():
    if any(len(at) > 1 + (axis == "spatial") for axis, at in _offsets(kernel).items()):
      raise UserError(
        f"{name} is read block by block, which has no ONNX operator; export it with "
        "--execution=decode."
      )

  def logits(images: jax.Array) -> jax.Array:
    return trained.model.apply(trained.variables, images, train=False)

  shape = ("batch", *trained.config.data.input_shape)
  Path(path).write_bytes(_converted(logits, shape, trained.config.name))


def read(path: str | os.PathLike) -> Callable[[np.ndarray], np.ndarray]:
  """Images to logits, by ONNX Runtime on the CPU."""
  return _session(os.fspath(path))


def compiled(
  layer: Callable[[jax.Array], jax.Array], shape: tuple[int, ...]
) -> Callable[[np.ndarray], np.ndarray]:
  """A function of an array of this shape as a call that returns when it is done."""
  return _session(_converted(layer, shape, "layer"))


def _converted(
  function: Callable[[jax.Array], jax.Array], shape: tuple[int | str, ...], name: str
) -> bytes:
  jax2onnx = packages.needed("jax2onnx", "onnx")
  try:
    with convolution.spelled("convolution"), _errors_only("jax2onnx", "onnx_ir"):
      model = jax2onnx.to_onnx(
        function,
        [shape],
        model_name=name,
        input_names=["images"],
        output_names=["logits"],
      )
  except (NotImplementedError, RuntimeError) as error:
    told = str(error).partition("\n")[0]
    raise UserError(f"jax2onnx cannot take {name}: {told}") from None
  return model.SerializeToString()


def _session(model: str | bytes) -> Callable[[np.ndarray], np.ndarray]:
  """The first output of a model, or of a file of one, by its only input."""
  runtime = packages.needed("onnxruntime", "onnx")
  session = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
  [name] = [told.name for told in session.get_inputs()]
  return lambda x: session.run(None, {name: np.asarray(x, np.float32)})[0]


@contextlib.contextmanager
def _errors_only(*names: str) -> Iterator[None]:
  # They warn, with tracebacks, of plug-ins that no network here needs.
  loggers = [logging.getLogger(name) for name in names]
  levels = [logger.level for logger in loggers]
  for logger in loggers:
    logger.setLevel(logging.ERROR)
  try:
    yield
  finally:
    for logger, level in zip(loggers, levels, strict=True):
      logger.setLevel(level)


def _offsets(kernel: KernelPlan) -> dict[str, Shape]:
  return kernel.generator.offsets(kernel.shape)
