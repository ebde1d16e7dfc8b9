"""ONNX by jax2onnx, run by ONNX Runtime: one file for any batch size.

In the folded form, the default, it holds epitomes and has fewer multiply-adds, with
standard operators alone. Kernels of windows lie in it as packed starts and a ring, and
dense ones of few bits as integers; the runtime computes them when it loads the file.
Needs the extra `onnx`.
"""

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from neural_epitome import packages
from neural_epitome.epitome import convolution
from neural_epitome.errors import UserError
from neural_epitome.export import deployment, onnx_stored, program
from neural_epitome.training.trained import Trained

ENDING = ".onnx"
IS_PROGRAM = True
HOLDS_RECORD = True
HOLDS_STORED = True
RUNTIME = "ONNX Runtime"
NEEDED = (("jax2onnx", "onnx"), ("onnxruntime", "onnx"))
_WHAT = "--format=onnx"
# Channels of its blocked layout where vectors have 512 bits; 8 where they have 256.
_BLOCK = 16


def write(
  path: str | os.PathLike,
  trained: Trained,
  record: Mapping[str, Any] | None = None,
  stored: Trained | None = None,
) -> None:
  """Writes the network as it is run, its numbers inside.

  Args:
    path: of the file.
    trained: from `program`; its model says how kernels are run.
    record: from `deployment`, JSON in the file's metadata; None for none.
    stored: the same from `inference_model.shipped`: the kernels of `onnx_stored.paths`,
      which `trained` must have in full, lie in the file as they are stored. None for
      all numbers in float32.

  Raises:
    UserError: for a kernel that jax2onnx has no operator for, as one whose blocks are
      read from places of their own.
  """
  apart = [] if stored is None else onnx_stored.paths(stored)
  content = program.converted(trained, _converted, batch="batch", apart=apart)
  if stored is not None and apart:
    names = {_argument(i): path for i, path in enumerate(apart)}
    content = onnx_stored.put(content, names, stored, trained)
  if record is not None:
    onnx = packages.needed("onnx", "onnx", _WHAT)
    model = onnx.load_model_from_string(content)
    onnx.helper.set_model_props(model, {deployment.KEY: json.dumps(record)})
    content = model.SerializeToString()
  Path(path).write_bytes(content)


def read(path: str | os.PathLike) -> Callable[[np.ndarray], np.ndarray]:
  """A function from images to logits: the file, run by ONNX Runtime on the CPU."""
  return _session(os.fspath(path))


def compiled(
  layer: Callable[[jax.Array], jax.Array], shape: tuple[int, ...]
) -> Callable[[np.ndarray], np.ndarray]:
  """Compiles a function of one array for the runtime.

  Args:
    layer: the function.
    shape: of the array.

  Returns:
    A call of the compiled function, which returns when the result is there.
  """
  return _session(_converted(layer, shape))


def _argument(number: int) -> str:
  """The name of a kernel among a graph's inputs."""
  return f"kernel_{number}"


def _converted(
  function: Callable[..., jax.Array],
  shape: tuple[int | str, ...],
  *others: tuple[int, ...],
) -> bytes:
  jax2onnx = packages.needed("jax2onnx", "onnx", _WHAT)
  try:
    with (
      convolution.spelled("convolution", least=_BLOCK),
      _errors_only("jax2onnx", "onnx_ir"),
    ):
      model = jax2onnx.to_onnx(
        function,
        [shape, *others],
        model_name="network",
        input_names=[deployment.INPUT, *map(_argument, range(len(others)))],
        output_names=[deployment.OUTPUT],
      )
  except Exception as error:
    # Of any type: what it does not take fails wherever its plug-ins first notice, with
    # AttributeError too where one is behind the installed JAX.
    reason = str(error).partition("\n")[0]
    raise UserError(
      f"jax2onnx: {reason}; --execution=decode asks least of it."
    ) from error
  return model.SerializeToString()


def _session(model: str | bytes) -> Callable[[np.ndarray], np.ndarray]:
  """The first output of a model, or of a file of one, by its only input."""
  runtime = packages.needed("onnxruntime", "onnx", _WHAT)
  session = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
  [name] = [argument.name for argument in session.get_inputs()]
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
