"""Small networks as ONNX graphs: what reads their kernels is of many kinds."""

import numpy as np
import onnx

from tests.weight_files.networks import smooth

make_node = onnx.helper.make_node
FLOAT = onnx.TensorProto.FLOAT


def model(nodes, arrays, inputs, outputs, opset=17):
  """A model of float inputs and outputs, shapes by name."""
  value = onnx.helper.make_tensor_value_info
  graph = onnx.helper.make_graph(
    nodes,
    "network",
    [value(name, FLOAT, shape) for name, shape in inputs.items()],
    [value(name, FLOAT, shape) for name, shape in outputs.items()],
    [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
  )
  made = onnx.helper.make_model(
    graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=8
  )
  onnx.checker.check_model(made)
  return made


def constant(name, array):
  """Weights as some exporters write them."""
  return make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(array))


def draw(random, *shape):
  """float32 normal numbers, of the size that keeps an output's."""
  size = np.prod(shape[1:]) ** -0.5
  return (size * random.standard_normal(shape)).astype(np.float32)


def pictures():
  """(N, 3, 16, 16) to (N, 10): 2-D, grouped and transposed convolutions, a Gemm."""
  random = np.random.default_rng(0)
  nodes = [
    make_node("Conv", ["x", "first", "first_bias"], ["a"], pads=[1, 1, 1, 1]),
    make_node("Relu", ["a"], ["b"], doc_string="at line 7 " * 20),
    make_node("Conv", ["b", "grouped"], ["c"], group=2, pads=[1, 1, 1, 1]),
    make_node("BatchNormalization", ["c", "ones", "zeros", "zeros", "ones"], ["d"]),
    make_node("Relu", ["d"], ["e"]),
    make_node("ConvTranspose", ["e", "turned"], ["f"], strides=[2, 2]),
    make_node("GlobalAveragePool", ["f"], ["g"]),
    make_node("Flatten", ["g"], ["h"]),
    make_node("Gemm", ["h", "hidden"], ["i"]),
    make_node("Relu", ["i"], ["j"]),
    make_node("Gemm", ["j", "head", "head_bias"], ["y"], transB=1),
  ]
  arrays = {
    "first": draw(random, 32, 3, 3, 3),
    "first_bias": draw(random, 32),
    "grouped": 0.1 * smooth(random, 96, 16, 3, 3),
    "ones": np.ones(96, np.float32),
    "zeros": np.zeros(96, np.float32),
    "turned": draw(random, 96, 40, 2, 2),
    "hidden": draw(random, 40, 120),
    "head": draw(random, 10, 120),
    "head_bias": draw(random, 10),
  }
  return model(nodes, arrays, {"x": ["N", 3, 16, 16]}, {"y": ["N", 10]})


def sounds():
  """(T, N, 24) to (T, N, 7): an LSTM, products, a 1-D convolution, and a branch."""
  random = np.random.default_rng(1)
  inner = onnx.helper.make_graph(
    [
      constant("inner", draw(random, 64, 64)),
      make_node("MatMul", ["m", "inner"], ["then"]),
    ],
    "then",
    [],
    [onnx.helper.make_tensor_value_info("then", FLOAT, None)],
  )
  other = onnx.helper.make_graph(
    [make_node("Identity", ["m"], ["else"])],
    "else",
    [],
    [onnx.helper.make_tensor_value_info("else", FLOAT, None)],
  )
  nodes = [
    constant("lines", draw(random, 48, 24, 5)),
    make_node("Transpose", ["x"], ["a"], perm=[1, 2, 0]),
    make_node("Conv", ["a", "lines"], ["b"], pads=[2, 2]),
    make_node("Transpose", ["b"], ["c"], perm=[2, 0, 1]),
    make_node("LSTM", ["c", "w", "r", "bias"], ["d"], hidden_size=64),
    make_node("Squeeze", ["d", "one"], ["m"]),
    make_node("If", ["yes"], ["f"], then_branch=inner, else_branch=other),
    make_node("MatMul", ["f", "half"], ["y"]),
  ]
  arrays = {
    "w": draw(random, 1, 256, 48),
    "r": draw(random, 1, 256, 64),
    "bias": draw(random, 1, 512),
    "one": np.ones(1, np.int64),
    "yes": np.asarray(True),
    "half": draw(random, 64, 7),
  }
  return model(nodes, arrays, {"x": ["T", "N", 24]}, {"y": ["T", "N", 7]})


def save(path, made):
  """Writes a model; returns the path."""
  path.write_bytes(made.SerializeToString())
  return path
