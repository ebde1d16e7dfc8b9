"""A kernel computed in a graph is the compact file's: to the last bit, or nearly."""

import math

import numpy as np
import pytest

from neural_epitome.compression import compact_file, compact_reader
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.generators import Dense, LowRank, WindowedEpitome
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.errors import UserError
from neural_epitome.state_dicts import layouts
from neural_epitome.weight_files import onnx_kernels, onnx_parts

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

CONV = layouts.outputs_first("onnx Conv", 4)
GATES = layouts.Layout("onnx LSTM", (), (2,), (0, 1))
GENERATORS = {
  "palette": WindowedEpitome(16, (1, 1, 1)),
  "palette, coded": WindowedEpitome(64, (1, 1, 1), coded_bytes=0),
  "palette, coded in context": WindowedEpitome(64, (1, 1, 1), coded_bytes=0, context=2),
  "palette, no scale": WindowedEpitome(16, (1, 1, 1), scaled=False),
  "taps": WindowedEpitome(512, (3, 3, 1), coded_bytes=0),
  "inputs": WindowedEpitome(256, (1, 1, 4)),
  "inputs that jut out": WindowedEpitome(100, (1, 1, 5), coded_bytes=0),
  "outputs": WindowedEpitome(1024, (1, 1, 1, 8), scaled=False, coded_bytes=0),
  "outputs that jut out": WindowedEpitome(65, (1, 1, 1, 7), scaled=False),
}


def compact(folder, generator, shape, bits, few=False):
  """A compact file of one kernel of random numbers."""
  random = np.random.default_rng(0)
  use = KernelUse("w", shape)
  plan = plans.make([use], {"w": generator}).apart_from({}).narrowed({"w": bits})
  tensors = {
    name: random.standard_normal(spec.shape).astype(np.float32)
    for name, spec in plan.tensors.items()
  }
  starts = {
    axis: random.integers(3 if few else generator.length, size=size)
    for axis, size in generator.offsets(shape).items()
  }
  path = folder / "it.safetensors"
  offsets = {"w": starts} if starts else {}
  compact_file.write_numbers(path, plan, tensors, offsets)
  return compact_reader.read(path)


def run(parts, name):
  """What ONNX Runtime makes of it."""
  value = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
  graph = onnx.helper.make_graph(parts.nodes, "it", [], [value], parts.tensors)
  opset = [onnx.helper.make_opsetid("", onnx_parts.OPSET)]
  model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
  session = runtime.InferenceSession(
    model.SerializeToString(), providers=["CPUExecutionProvider"]
  )
  return session.run(None, {})[0]


def check(folder, generator, bits, layout, shape, few=False):
  network = compact(folder, generator, layout.shape(shape), bits, few)
  parts = onnx_parts.Parts(onnx, "k")
  place = onnx_kernels.Place(layout.order, shape)
  made = run(parts, onnx_kernels.add(parts, network, "w", place))
  expected = layout.from_ours(network.kernel("w"), shape)
  np.testing.assert_array_equal(made, expected)
  return parts


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6, 7, 8, 16])
def test_integers_of_any_width_are_those_of_the_file(tmp_path, bits):
  parts = check(tmp_path, Dense(), bits, CONV, (33, 5, 3, 3))
  stored = sum(len(tensor.raw_data) for tensor in parts.tensors)
  assert stored <= 33 * 5 * 9 * bits / 8 + 33 * 4 + 100


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", GENERATORS)
def test_windows_and_palettes_are_those_of_the_file(tmp_path, name, bits):
  parts = check(tmp_path, GENERATORS[name], bits, CONV, (40, 24, 3, 3))
  shape = CONV.shape((40, 24, 3, 3))
  count = math.prod(GENERATORS[name].offsets(shape)["start"])
  width = GENERATORS[name].offset_bits("start")
  ring = (GENERATORS[name].length + 9) * bits / 8
  stored = sum(len(tensor.raw_data) for tensor in parts.tensors)
  assert stored <= count * width / 8 + ring + 2 * shape[-1] * 2 + 500


def test_outputs_of_several_axes_are_scaled_each(tmp_path):
  check(tmp_path, Dense(), 4, GATES, (2, 32, 10))
  check(tmp_path, WindowedEpitome(64, (2,)), 8, GATES, (2, 32, 10))
  check(tmp_path, WindowedEpitome(16, (1,)), 8, GATES, (2, 32, 10))


def test_few_starts_in_use_take_few_bits(tmp_path):
  generator = WindowedEpitome(1024, (1, 1, 4), coded_bytes=0)
  few = check(tmp_path, generator, 8, CONV, (64, 64, 3, 3), few=True)
  # 9,216 windows of two bits, beside a ring of 1,024 numbers.
  assert sum(len(tensor.raw_data) for tensor in few.tensors) < 2304 + 1024 + 500


def test_numbers_in_one_place_are_stored_once_and_what_is_undone_is_gone():
  parts = onnx_parts.Parts(onnx, "k")
  first = parts.constant(np.arange(4))
  before = parts.state()
  second = parts.constant(np.arange(5))
  parts.node("Cast", second, to=1)
  assert parts.nbytes(before) > 5 * 8
  parts.undo(before)
  assert parts.constant(np.arange(4)) == first
  assert len(parts.tensors) == 1
  assert not parts.nodes


@pytest.mark.parametrize("bits", [4, 6, 8, 16])
@pytest.mark.parametrize(
  ("layout", "shape"), [(CONV, (40, 24, 3, 3)), (GATES, (2, 32, 10))]
)
@pytest.mark.parametrize("without", [(), (1, 2, 7)])
def test_a_low_rank_is_the_product_of_its_factors(
  tmp_path, bits, layout, shape, without
):
  network = compact(tmp_path, LowRank(5, without), layout.shape(shape), bits)
  parts = onnx_parts.Parts(onnx, "k")
  place = onnx_kernels.Place(layout.order, shape)
  made = run(parts, onnx_kernels.add(parts, network, "w", place))
  expected = layout.from_ours(network.kernel("w"), shape)
  np.testing.assert_allclose(made, expected, rtol=1e-4, atol=1e-5)
  sides = 5 * (made.size // layout.shape(shape)[-1] + layout.shape(shape)[-1])
  stored = sum(len(tensor.raw_data) for tensor in parts.tensors)
  rows = 4 * made.size // layout.shape(shape)[-1] if without else 0
  factors = 4 * (5 + layout.shape(shape)[-1])
  assert stored <= sides * bits / 8 + factors + rows + 200


def test_other_generators_are_refused_by_name(tmp_path):
  network = compact(tmp_path, Dense(), (1, 1, 8, 8), 8)
  network.kernels["w"]["generator"]["kind"] = "hashed"
  place = onnx_kernels.Place(CONV.order, (8, 8, 1, 1))
  with pytest.raises(UserError, match="'hashed'"):
    onnx_kernels.add(onnx_parts.Parts(onnx, "k"), network, "w", place)
