"""What weights change in a graph's outputs is measured on examples."""

import math

import numpy as np
import pytest

from neural_epitome.errors import UserError
from neural_epitome.state_dicts import weights_file
from neural_epitome.weight_files import onnx_outputs

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from tests.weight_files import graphs, networks  # noqa: E402

make_node = onnx.helper.make_node


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """A folder with a classifier, weights (5, 4), and examples of it."""
  folder = tmp_path_factory.mktemp("outputs")
  random = np.random.default_rng(0)
  weights = {"w": graphs.draw(random, 5, 4)}
  nodes = [make_node("MatMul", ["x", "w"], ["y"])]
  made = graphs.model(nodes, weights, {"x": ["N", 5]}, {"y": ["N", 4]})
  graphs.save(folder / "it.onnx", made)
  x = random.standard_normal((100, 5)).astype(np.float32)
  labels = np.argmax(x @ weights["w"], 1)
  labels[:10] = (labels[:10] + 1) % 4
  np.savez(folder / "plain.npz", x=x)
  np.savez(folder / "labelled.npz", x=x, labels=labels)
  np.savez(folder / "classes.npz", x=x, labels=labels + 1)
  np.savez(folder / "huge.npz", x=np.full((2, 5), 3e38, np.float32))
  return folder


def test_the_weights_of_the_file_change_nothing(folder):
  weights = weights_file.read(folder / "it.onnx").arrays
  change = onnx_outputs.Graph(folder / "it.onnx", folder / "plain.npz").change(weights)
  assert change == ("agreement", 100.0, 0.0, 0.0)
  labelled = onnx_outputs.Graph(folder / "it.onnx", folder / "labelled.npz")
  assert labelled.change(weights) == ("accuracy", 90.0, 0.0, 0.0)


def test_accuracy_agreement_and_error_are_those_of_the_outputs(folder):
  weights = weights_file.read(folder / "it.onnx").arrays["w"]
  with np.load(folder / "labelled.npz") as file:
    x, labels = file["x"], file["labels"]
  other = weights + 0.3 * np.random.default_rng(1).standard_normal((5, 4), np.float32)
  before, now = x @ weights, x @ other
  error = np.linalg.norm(now - before) / np.linalg.norm(before)
  graph = onnx_outputs.Graph(folder / "it.onnx", folder / "plain.npz")
  change = graph.change({"w": other})
  agreement = 100 * np.mean(now.argmax(1) == before.argmax(1))
  assert change.percent == pytest.approx(agreement)
  assert change.drop == pytest.approx(100 - agreement)
  assert change.output_error == pytest.approx(error, rel=1e-4)
  assert graph.score({"w": other}) == pytest.approx(-(error**2), rel=1e-4)
  graph = onnx_outputs.Graph(folder / "it.onnx", folder / "labelled.npz")
  accuracy = 100 * np.mean(now.argmax(1) == labels)
  assert graph.change({"w": other}).percent == pytest.approx(accuracy)
  assert graph.change({"w": other}).drop == pytest.approx(90 - accuracy)


def test_weights_that_ruin_the_outputs_drop_without_end(folder):
  graph = onnx_outputs.Graph(folder / "it.onnx", folder / "plain.npz")
  ruined = {"w": np.full((5, 4), 3e38, np.float32)}
  assert graph.change(ruined).drop == math.inf
  assert math.isfinite(graph.score(ruined))


def test_outputs_that_are_no_classes_have_an_error_in_percent(tmp_path):
  source = graphs.save(tmp_path / "it.onnx", graphs.sounds())
  x = np.random.default_rng(0).standard_normal((9, 2, 24))
  np.savez(tmp_path / "it.npz", x=x)
  graph = onnx_outputs.Graph(source, tmp_path / "it.npz")
  weights = weights_file.read(source).arrays
  change = graph.change(weights | {"half": 1.1 * weights["half"]})
  assert change.measure == "error"
  assert change.drop == pytest.approx(10, rel=1e-3)
  np.savez(tmp_path / "labels.npz", x=x, labels=np.zeros(9, int))
  with pytest.raises(UserError, match="has labels, and the first output is no"):
    onnx_outputs.Graph(source, tmp_path / "labels.npz")


@pytest.mark.parametrize(
  ("examples", "words"),
  [
    ("huge.npz", "its output y is not finite on"),
    ("classes.npz", "labels lie in 1 to 4, and the graph tells 4 classes apart"),
  ],
)
def test_examples_that_measure_nothing_are_refused(folder, examples, words):
  with pytest.raises(UserError, match=words):
    onnx_outputs.Graph(folder / "it.onnx", folder / examples)


def test_a_file_without_a_graph_is_refused(folder, tmp_path):
  path = networks.save(tmp_path / "it.pth", networks.state())
  with pytest.raises(UserError, match=r"needs the network as an ONNX graph: .* torch"):
    onnx_outputs.Graph(path, folder / "plain.npz")


def test_a_graph_that_cannot_be_run_is_said_in_one_line(folder, tmp_path):
  node = make_node("Unknown", ["x"], ["y"], domain="nowhere")
  value = onnx.helper.make_tensor_value_info
  graph = onnx.helper.make_graph(
    [node, make_node("MatMul", ["y", "w"], ["z"])],
    "it",
    [value("x", 1, ["N", 5])],
    [value("z", 1, ["N", 4])],
    [onnx.numpy_helper.from_array(np.ones((5, 4), np.float32), "w")],
  )
  opsets = [onnx.helper.make_opsetid(*one) for one in (("", 17), ("nowhere", 1))]
  model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
  source = graphs.save(tmp_path / "it.onnx", model)
  with pytest.raises(UserError, match="cannot be run") as error:
    onnx_outputs.Graph(source, folder / "plain.npz")
  assert "\n" not in str(error.value)
