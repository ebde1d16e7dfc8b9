"""What kernels of an ONNX graph read is measured; with it their outputs are kept."""

import numpy as np
import onnx
import pytest

from neural_epitome.state_dicts import weights_file
from neural_epitome.weight_files import comparing, onnx_outputs
from tests.weight_files import graphs

RANDOM = np.random.default_rng(0)


def layers():
  """(N, 4, 9, 9) to (N, 6): convolutions of several kinds and products."""
  nodes = [
    graphs.make_node("Conv", ["x", "same"], ["a"], auto_pad="SAME_UPPER"),
    graphs.make_node("Relu", ["a"], ["b"]),
    graphs.make_node(
      "Conv", ["b", "grouped"], ["c"], group=2, pads=[0, 1, 2, 1], strides=[2, 1]
    ),
    graphs.make_node("Relu", ["c"], ["d"]),
    graphs.make_node("Conv", ["d", "dilated"], ["e"], dilations=[2, 1]),
    graphs.make_node("GlobalAveragePool", ["e"], ["f"]),
    graphs.make_node("Flatten", ["f"], ["g"]),
    graphs.make_node("Gemm", ["g", "turned"], ["h"], transB=1),
    graphs.make_node("Relu", ["h"], ["i"]),
    graphs.make_node("MatMul", ["i", "product"], ["y"]),
  ]
  arrays = {
    "same": graphs.draw(RANDOM, 32, 4, 3, 2),
    "grouped": graphs.draw(RANDOM, 24, 16, 3, 3),
    "dilated": graphs.draw(RANDOM, 40, 24, 2, 3),
    "turned": graphs.draw(RANDOM, 24, 40),
    "product": graphs.draw(RANDOM, 24, 6),
  }
  return graphs.model(nodes, arrays, {"x": ("N", 4, 9, 9)}, {"y": ("N", 6)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp("layers")
  onnx.save(layers(), folder / "layers.onnx")
  x = RANDOM.normal(size=(128, 4, 1, 1)) + 0.5 * RANDOM.normal(size=(128, 4, 9, 9))
  np.savez(folder / "seen.npz", x=x[:96].astype(np.float32))
  np.savez(folder / "new.npz", x=x[96:].astype(np.float32))
  return folder


def test_moments_tell_the_mean_square_of_what_each_operator_makes(folder):
  path = folder / "layers.onnx"
  file = weights_file.read(path)
  graph = onnx_outputs.Graph(path, folder / "seen.npz")
  moments = graph.moments()
  assert moments.keys() == file.layouts.keys()
  names = ("same", "grouped", "dilated", "turned", "product")
  outputs = dict(zip(names, "acehy", strict=True))
  model = onnx.load(path)
  del model.graph.output[:]
  model.graph.output.extend(onnx.ValueInfoProto(name=n) for n in outputs.values())
  calls = list(graph._values(model.SerializeToString(), list(outputs.values())))
  for name, output in outputs.items():
    made = np.concatenate([call[output] for call in calls])
    kernel = file.layouts[name].to_ours(file.arrays[name])
    rows = kernel.reshape(-1, kernel.shape[-1])
    groups = 2 if name == "grouped" else 1
    count = made.size // made.shape[1] * groups
    own = np.diag(np.diag(moments[name]))
    # See `columns.Moments.mean`.
    whole = own + (moments[name] - own) * (1 + len(rows) / (10 * count))
    found = np.einsum("io,ij,jo->o", rows, whole, rows)
    if groups > 1:
      continue  # moments are the mean of the groups'
    expected = np.mean(np.square(np.moveaxis(made, 1, 0).reshape(rows.shape[1], -1)), 1)
    np.testing.assert_allclose(found, expected, rtol=0.02)


@pytest.mark.slow
def test_outputs_of_new_examples_are_nearer_in_as_many_bytes(folder):
  path = folder / "layers.onnx"
  seen, new = (onnx_outputs.Graph(path, folder / n) for n in ("seen.npz", "new.npz"))
  errors = []
  for moments in (None, seen.moments()):
    comparison = comparing.compare(path, moments=moments, quiet=True)
    small = comparison.within("3600 B")
    assert small.totals.stored_bytes <= 3600
    errors.append(new.change(comparison.weights(small)).output_error)
  assert errors[1] < 0.8 * errors[0]
