"""Weights in ONNX graphs: what reads an array says how its axes go to ours."""

import numpy as np
import pytest

from neural_epitome.errors import UserError
from neural_epitome.state_dicts import weights_file

onnx = pytest.importorskip("onnx")
make_node = onnx.helper.make_node


def ones(*shape):
  return np.ones(shape, np.float32)


def graph(nodes, arrays):
  tensors = [
    onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()
  ]
  value = onnx.helper.make_tensor_value_info
  return onnx.helper.make_graph(
    nodes, "net", [value("x", 1, None)], [value("y", 1, None)], tensors
  )


def save(path, nodes, arrays, name="w"):
  arrays = arrays if isinstance(arrays, dict) else {name: arrays}
  model = onnx.helper.make_model(graph(nodes, arrays))
  path.write_bytes(model.SerializeToString())
  return path


def constant(name, array):
  return make_node(
    "Constant", [], [name], value=onnx.numpy_helper.from_array(array, "value")
  )


TRANSPOSED = [
  make_node("Transpose", ["w"], ["t"], perm=[1, 0]),
  make_node("MatMul", ["x", "t"], ["y"]),
]
CASES = {
  "Conv": ([make_node("Conv", ["x", "w"], ["y"])], (8, 3, 5, 7), (5, 7, 3, 8)),
  "ConvTranspose": (
    [make_node("ConvTranspose", ["x", "w"], ["y"])],
    (8, 3, 5),
    (5, 8, 3),
  ),
  "Gemm": ([make_node("Gemm", ["x", "w"], ["y"])], (5, 6), (5, 6)),
  "Gemm, turned": ([make_node("Gemm", ["x", "w"], ["y"], transB=1)], (6, 5), (5, 6)),
  "Gemm, on the left": ([make_node("Gemm", ["w", "x"], ["y"])], (6, 5), (5, 6)),
  "MatMul": ([make_node("MatMul", ["x", "w"], ["y"])], (5, 6), (5, 6)),
  "MatMul, of many": ([make_node("MatMul", ["x", "w"], ["y"])], (4, 5, 6), (4, 5, 6)),
  "MatMul, on the left": ([make_node("MatMul", ["w", "x"], ["y"])], (6, 5), (5, 6)),
  "MatMul, turned before": (TRANSPOSED, (6, 5), (5, 6)),
  "LSTM": ([make_node("LSTM", ["x", "w"], ["y"])], (2, 16, 5), (5, 32)),
  "GRU": ([make_node("GRU", ["x", "r", "w"], ["y"])], (1, 12, 4), (4, 12)),
  "Gather": ([make_node("Gather", ["w", "x"], ["y"])], (50, 8), (50, 8)),
}


@pytest.mark.parametrize("what", CASES)
def test_the_operator_says_the_layout(tmp_path, what):
  nodes, shape, ours = CASES[what]
  array = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
  file = weights_file.read(save(tmp_path / "it", nodes, array))
  layout = file.layouts["w"]
  assert layout.name == f"onnx {what.partition(',')[0]}"
  assert layout.shape(shape) == ours
  there = layout.to_ours(array)
  np.testing.assert_array_equal(layout.from_ours(there, shape), array)


def test_a_kernel_turned_before_it_is_read_is_as_the_product_has_it(tmp_path):
  array = np.arange(30, dtype=np.float32).reshape(6, 5)
  file = weights_file.read(save(tmp_path / "it", TRANSPOSED, array))
  np.testing.assert_array_equal(file.layouts["w"].to_ours(array), array.T)


def test_biases_of_recurrent_layers_are_no_kernels(tmp_path):
  nodes = [make_node("LSTM", ["x", "w", "r", "b"], ["y"])]
  arrays = {"w": ones(2, 16, 5), "r": ones(2, 16, 4), "b": ones(2, 32)}
  file = weights_file.read(save(tmp_path / "it", nodes, arrays))
  assert list(file.layouts) == ["w", "r"]
  assert list(file.arrays) == ["w", "r", "b"]


def test_where_the_operator_says_nothing_names_do(tmp_path):
  nodes = [make_node("Slice", ["rnn.weight_ih", "s", "e"], ["y"])]
  arrays = {"rnn.weight_ih": ones(16, 5), "s": np.ones(1, "i8"), "e": np.ones(1, "i8")}
  file = weights_file.read(save(tmp_path / "it", nodes, arrays))
  assert file.layouts["rnn.weight_ih"].name == "recurrent"
  assert list(file.arrays) == ["rnn.weight_ih"]


def test_constants_and_the_graphs_inside_operators_are_read(tmp_path):
  inner = graph([constant("c", ones(5, 6)), make_node("MatMul", ["x", "c"], ["y"])], {})
  other = graph([make_node("MatMul", ["x", "d"], ["y"])], {"d": ones(5, 6)})
  node = make_node("If", ["x"], ["y"], then_branch=inner, else_branch=other)
  file = weights_file.read(save(tmp_path / "it", [node], {}))
  assert {name: layout.name for name, layout in file.layouts.items()} == {
    "d": "onnx MatMul",
    "c": "onnx MatMul",
  }


def test_half_precision_is_widened(tmp_path):
  nodes = [make_node("MatMul", ["x", "w"], ["y"])]
  file = weights_file.read(save(tmp_path / "it", nodes, ones(5, 6).astype("f2")))
  assert file.dtypes == {"w": "float16"}
  assert file.arrays["w"].dtype == np.float32


@pytest.mark.parametrize(
  "operator", ["DequantizeLinear", "QLinearConv", "MatMulInteger", "ConvInteger"]
)
def test_quantised_arrays_are_refused_by_name(tmp_path, operator):
  nodes = [make_node(operator, ["w", "x"], ["y"])]
  path = save(tmp_path / "it", nodes, np.ones((5, 6), np.int8))
  with pytest.raises(UserError, match=f"has quantised weights: {operator} reads w"):
    weights_file.read(path)


def test_float_kernels_between_quantisers_are_read(tmp_path):
  nodes = [
    make_node("QuantizeLinear", ["w", "s"], ["q"]),
    make_node("DequantizeLinear", ["q", "s"], ["d"]),
    make_node("Gemm", ["x", "d"], ["y"], transB=1),
  ]
  arrays = {"w": ones(6, 5), "s": ones(1)}
  file = weights_file.read(save(tmp_path / "it", nodes, arrays))
  assert file.layouts["w"].name == "onnx Gemm"


def test_arrays_in_another_file_are_refused_and_not_looked_for(tmp_path):
  model = onnx.helper.make_model(graph([], {"w": ones(5, 6)}))
  onnx.external_data_helper.set_external_data(
    model.graph.initializer[0], "../../../etc/passwd"
  )
  (tmp_path / "it").write_bytes(model.SerializeToString())
  with pytest.raises(UserError, match=r"keeps w in another file: onnx\.save_model"):
    weights_file.read(tmp_path / "it")


def test_two_arrays_of_one_name_are_refused(tmp_path):
  model = onnx.helper.make_model(graph([constant("w", ones(5, 6))], {"w": ones(5, 6)}))
  (tmp_path / "it").write_bytes(model.SerializeToString())
  with pytest.raises(UserError, match="two arrays of the name w"):
    weights_file.read(tmp_path / "it")


def test_an_array_that_is_passed_on_to_itself_comes_to_an_end(tmp_path):
  nodes = [
    make_node("Identity", ["w"], ["w"]),
    make_node("Identity", ["w"], ["v"]),
  ] * 50
  nodes += [make_node("Identity", ["v"], ["w"]), make_node("MatMul", ["x", "v"], ["y"])]
  file = weights_file.read(save(tmp_path / "it", nodes, ones(5, 6)))
  assert file.layouts["w"].name == "onnx MatMul"
