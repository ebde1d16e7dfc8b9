"""ONNX by jax2onnx, run by ONNX Runtime: one file for any batch size.

In the folded form, the default, it holds epitomes and has fewer multiply-adds, with
standard operators alone. Needs the extra `onnx`.
"""

import contextlib
import importlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from neural_epitome.epitome import convolution
from neural_epitome.epitome.plan import KernelPlan
from neural_epitome.epitome.sampling import Shape
from neural_epitome.errors import UserError
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
  jax2onnx = _needed("jax2onnx")

  def logits(images: jax.Array) -> jax.Array:
    return trained.model.apply(trained.variables, images, train=False)

  try:
    with convolution.spelled("convolution"), _errors_only("jax2onnx", "onnx_ir"):
      model = jax2onnx.to_onnx(
        logits,
        [("batch", *trained.config.data.input_shape)],
        model_name=trained.config.name,
        input_names=["images"],
        output_names=["logits"],
      )
  except (NotImplementedError, RuntimeError) as error:
    told = str(error).partition("\n")[0]
    raise UserError(f"jax2onnx cannot take {trained.config.name}: {told}") from None
  Path(path).write_bytes(model.SerializeToString())


def read(path: str | os.PathLike) -> Callable[[np.ndarray], np.ndarray]:
  """Images to logits, by ONNX Runtime on the CPU."""
  runtime = _needed("onnxruntime")
  session = runtime.InferenceSession(
    os.fspath(path), providers=["CPUExecutionProvider"]
  )
  [name] = [told.name for told in session.get_inputs()]
  return lambda images: session.run(None, {name: np.asarray(images, np.float32)})[0]


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


def _needed(name: str) -> Any:
  try:
    return importlib.import_module(name)
  except ModuleNotFoundError:
    raise UserError(
      f"--format=onnx needs {name}: pip install 'neural_epitome[onnx]'."
    ) from None
