"""LiteRT (.tflite) by TensorFlow's converter, run by ai-edge-litert.

Built-in operators alone, one file for any batch size: it is written for one image, and
`resize_tensor_input` asks for more. In the folded form, the default, it holds epitomes
and has fewer multiply-adds. Needs the extra `litert`; TensorFlow is imported to write
such a file, and nowhere else.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from neural_epitome import packages
from neural_epitome.epitome import convolution
from neural_epitome.errors import UserError
from neural_epitome.export import deployment, program
from neural_epitome.training.trained import Trained

ENDING = ".tflite"
IS_PROGRAM = True
RUNTIME = "LiteRT"
# TensorFlow, which takes seconds to import, is looked for as it is needed.
NEEDED = (("ai_edge_litert.interpreter", "litert"),)
_WHAT = "--format=litert"


def write(path: str | os.PathLike, trained: Trained) -> None:
  """Writes the network as it is run, its numbers inside, in float32.

  Args:
    path: of the file.
    trained: from `program`; its model says how kernels are run.

  Raises:
    UserError: for a kernel that the converter cannot take.
  """
  content = program.converted(trained, _converted)
  Path(path).write_bytes(_for_any_batch(content))


def read(path: str | os.PathLike) -> Callable[[np.ndarray], np.ndarray]:
  """A function from images to logits: the file, run by LiteRT on the CPU."""
  runtime = packages.needed("ai_edge_litert.interpreter", "litert", _WHAT)
  with _quiet():
    return _called(runtime.Interpreter(os.fspath(path)))


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
  runtime = packages.needed("ai_edge_litert.interpreter", "litert", _WHAT)
  content = _converted(layer, shape)
  with _quiet():
    return _called(runtime.Interpreter(model_content=content))


def _called(interpreter: Any) -> Callable[[np.ndarray], np.ndarray]:
  [input_tensor], [output_tensor] = (
    interpreter.get_input_details(),
    interpreter.get_output_details(),
  )
  shape = None

  def run(images: np.ndarray) -> np.ndarray:
    nonlocal shape
    if images.shape != shape:
      shape = images.shape
      interpreter.resize_tensor_input(input_tensor["index"], shape)
      interpreter.allocate_tensors()
    interpreter.set_tensor(input_tensor["index"], np.asarray(images, np.float32))
    interpreter.invoke()
    return interpreter.get_tensor(output_tensor["index"])

  return run


def _converted(
  function: Callable[[jax.Array], jax.Array], shape: tuple[int | str, ...]
) -> bytes:
  with _quiet():
    tensorflow = packages.needed("tensorflow", "litert", _WHAT)
    from jax.experimental import jax2tf
    from tensorflow.lite.python.convert import ConverterError

  images = tensorflow.TensorSpec(shape, tensorflow.float32, name=deployment.INPUT)
  try:
    with convolution.spelled("convolution"), _quiet():
      traced = tensorflow.function(
        jax2tf.convert(
          function, with_gradient=False, native_serialization_platforms=["cpu"]
        ),
        input_signature=[images],
        autograph=False,
      )
      converter = tensorflow.lite.TFLiteConverter.from_concrete_functions(
        [traced.get_concrete_function()], traced
      )
      return converter.convert()
  except ConverterError as error:
    reason = str(error).partition("\n")[0]
    raise UserError(
      f"LiteRT's converter: {reason}; --execution=decode asks least of it."
    ) from None


def _for_any_batch(content: bytes) -> bytes:
  """The same program, with no batch of one written into its shapes.

  Slices and reshapes name the size of every axis as a constant, so that a slice would
  keep one image of many without a word. A reshape may say -1; XNNPACK leaves a slice
  that does to slower code, and takes one that is masked.
  """
  from tensorflow.lite.python import schema_py_generated
  from tensorflow.lite.tools import flatbuffer_utils

  # Generated code says of every field that it may be None.
  schema: Any = schema_py_generated
  model: Any = flatbuffer_utils.convert_bytearray_to_object(content)
  [graph] = model.subgraphs
  operators = schema.BuiltinOperator

  def numbers(index: int) -> np.ndarray:
    data = model.buffers[graph.tensors[index].buffer].data
    return np.frombuffer(bytes(data), np.int32).copy()

  def constant(values: np.ndarray) -> int:
    # A new one: those there are may be shared by operators of another kind.
    buffer, tensor = schema.BufferT(), schema.TensorT()
    buffer.data = np.frombuffer(values.astype(np.int32).tobytes(), np.uint8)
    tensor.shape, tensor.type = (
      np.array(values.shape, np.int32),
      schema.TensorType.INT32,
    )
    tensor.buffer, tensor.name = len(model.buffers), b"shape"
    model.buffers.append(buffer)
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1

  strided = schema.OperatorCodeT()
  strided.builtinCode = strided.deprecatedBuiltinCode = operators.STRIDED_SLICE
  strided.version = 1
  model.operatorCodes.append(strided)
  for operator in graph.operators:
    code = model.operatorCodes[operator.opcodeIndex].builtinCode
    if code == operators.RESHAPE:
      sizes = numbers(operator.inputs[1])
      sizes[0] = -1
      operator.inputs = [operator.inputs[0], constant(sizes)]
    elif code == operators.SLICE:
      x, begin, sizes = operator.inputs[0], *map(numbers, operator.inputs[1:])
      if sizes[0] != graph.tensors[x].shape[0]:
        continue
      ends, steps = constant(begin + sizes), constant(np.ones_like(begin))
      operator.inputs = [x, constant(begin), ends, steps]
      operator.opcodeIndex = model.operatorCodes.index(strided)
      options = operator.builtinOptions = schema.StridedSliceOptionsT()
      operator.builtinOptionsType = schema.BuiltinOptions.StridedSliceOptions
      options.beginMask = options.endMask = 1
  for index in (*graph.inputs, *graph.outputs):
    tensor = graph.tensors[index]
    tensor.shapeSignature = np.array([-1, *tensor.shape[1:]], np.int32)
  return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  # Notes of C++ about drivers and delegates, past Python's logging.
  with open(os.devnull, "w") as nowhere:
    kept = os.dup(2)
    os.dup2(nowhere.fileno(), 2)
    try:
      yield
    finally:
      os.dup2(kept, 2)
      os.close(kept)
