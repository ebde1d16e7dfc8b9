"""A graph whose kernels are small in the file runs as the one with kernels in full."""

from collections import Counter

import numpy as np
import pytest

import neural_epitome as ne
from neural_epitome.compression import compact_reader
from neural_epitome.errors import UserError
from neural_epitome.state_dicts import onnx_file, weights_file
from neural_epitome.weight_files import expanding

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
from tests.weight_files import graphs  # noqa: E402

pytestmark = pytest.mark.slow

NETWORKS = {
  "pictures": (graphs.pictures, (4, 3, 16, 16)),
  "sounds": (graphs.sounds, (9, 2, 24)),
}


@pytest.fixture(scope="module", params=NETWORKS)
def files(request, tmp_path_factory):
  """The source, the compact file, and both graphs; and an input."""
  folder = tmp_path_factory.mktemp(request.param)
  make, shape = NETWORKS[request.param]
  source = graphs.save(folder / "source.onnx", make())
  compact = folder / "compact.safetensors"
  ne.compress_file(source, "7x", quiet=True).save(compact)
  small = ne.expand_file(compact, folder / "small.onnx", "onnx", source)
  full = ne.expand_file(compact, folder / "full.onnx", "onnx-float", source)
  x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
  return source, compact, small, full, x


def optimised(path, folder):
  """A session, and the graph that it runs."""
  options = runtime.SessionOptions()
  options.optimized_model_filepath = str(folder / "optimised.onnx")
  options.log_severity_level = 3
  session = runtime.InferenceSession(
    str(path), options, providers=["CPUExecutionProvider"]
  )
  return session, onnx.load(folder / "optimised.onnx")


def product(size, opset=17):
  """A graph of one kernel."""
  nodes = [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])]
  arrays = {"w": graphs.draw(np.random.default_rng(0), size, size)}
  return graphs.model(nodes, arrays, {"x": ["N", size]}, {"y": ["N", size]}, opset)


def test_outputs_are_those_of_the_graph_in_full(files, tmp_path):
  *_, small, full, x = files
  outputs = [optimised(path, tmp_path)[0].run(None, {"x": x})[0] for path in files[2:4]]
  assert np.abs(outputs[1]).max() > 0.01
  np.testing.assert_allclose(outputs[0], outputs[1], rtol=1e-5, atol=1e-6)
  onnx.checker.check_model(str(small))
  assert small.stat().st_size < full.stat().st_size / 3.5


def test_what_is_run_is_the_graph_in_full(files, tmp_path):
  small, full = [optimised(path, tmp_path)[1] for path in files[2:4]]
  operators = [
    Counter(node.op_type for node in onnx_file.nodes(model)) for model in (small, full)
  ]
  assert operators[0] == operators[1]


def test_the_graph_in_full_has_the_weights_of_the_compact_file(files):
  _, compact, _, full, _ = files
  arrays, file = compact_reader.read(compact).parameters(), weights_file.read(full)
  for name, layout in file.layouts.items():
    ours = layout.to_ours(file.arrays[name])
    np.testing.assert_array_equal(ours, arrays[name], name)


def test_no_name_is_given_twice_and_texts_for_people_are_gone(files):
  model = onnx.load(files[2])
  names = [name for node in onnx_file.nodes(model) for name in node.output if name]
  names += [one.name for graph in onnx_file.graphs(model) for one in graph.initializer]
  assert len(names) == len(set(names))
  assert not any(node.doc_string for node in onnx_file.nodes(model))


def test_another_graph_is_refused(files, tmp_path):
  _, compact, *_ = files
  path = graphs.save(tmp_path / "other.onnx", product(8))
  with pytest.raises(UserError, match="not the graph that was compressed"):
    ne.expand_file(compact, tmp_path / "it.onnx", "onnx", path)
  assert [one.name for one in tmp_path.iterdir()] == ["other.onnx"]


@pytest.mark.parametrize(
  ("content", "words"),
  [(b"\x0a\xff\xff", "no readable ONNX"), (None, "cannot be read")],
)
def test_a_damaged_graph_is_refused_in_one_line(files, tmp_path, content, words):
  _, compact, *_ = files
  if content is not None:
    (tmp_path / "other.onnx").write_bytes(content)
  with pytest.raises(UserError, match=words) as error:
    ne.expand_file(compact, tmp_path / "it.onnx", "onnx", tmp_path / "other.onnx")
  assert "\n" not in str(error.value)
  assert not (tmp_path / "it.onnx").exists()


def test_a_graph_of_half_precision_stays_so(tmp_path):
  random = np.random.default_rng(0)
  nodes = [
    onnx.helper.make_node("Cast", ["x"], ["h"], to=onnx.TensorProto.FLOAT16),
    onnx.helper.make_node("MatMul", ["h", "w"], ["m"]),
    onnx.helper.make_node("Cast", ["m"], ["y"], to=onnx.TensorProto.FLOAT),
  ]
  arrays = {"w": graphs.draw(random, 96, 96).astype(np.float16)}
  made = graphs.model(nodes, arrays, {"x": ["N", 96]}, {"y": ["N", 96]})
  source = graphs.save(tmp_path / "source.onnx", made)
  ne.compress_file(source, "3x", quiet=True).save(tmp_path / "it.safetensors")
  x = {"x": random.standard_normal((2, 96)).astype(np.float32)}
  outputs = []
  for kind in ("onnx", "onnx-float"):
    path = ne.expand_file(tmp_path / "it.safetensors", tmp_path / kind, kind, source)
    outputs.append(optimised(path, tmp_path)[0].run(None, x)[0])
  np.testing.assert_array_equal(*outputs)


def test_an_opset_before_shifts_is_refused_with_the_remedy(tmp_path):
  source = graphs.save(tmp_path / "old.onnx", product(96, opset=9))
  ne.compress_file(source, "4x", quiet=True).save(tmp_path / "it.safetensors")
  with pytest.raises(UserError, match="opset 9, and small kernels need 11"):
    expanding.expand_into(tmp_path / "it.safetensors", tmp_path, "onnx", source)
  path = expanding.expand_into(
    tmp_path / "it.safetensors", tmp_path, "onnx-float", source
  )
  assert path.name == "it_float.onnx"
