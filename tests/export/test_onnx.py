"""ONNX Runtime answers as the network does, from standard operators."""

import dataclasses
import math
import sys

import numpy as np
import onnx as onnx_library
import pytest

from neural_epitome.cost import totals
from neural_epitome.epitome.generators import EpitomeRule
from neural_epitome.errors import UserError
from neural_epitome.export import onnx, program
from neural_epitome.training import setup
from tests.export import networks
from tests.training import tiny

# Of the converter's own dependencies.
pytestmark = [
  pytest.mark.slow,
  pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def path(tmp_path):
  return tmp_path / "network.onnx"


@pytest.mark.parametrize("execution", ["fold", "decode"])
def test_onnx_runtime_answers_for_any_batch(path, execution):
  network = networks.shipped(rule=EpitomeRule(margin=1))
  onnx.write(path, program.run_as(network, execution))
  run = onnx.read(path)
  for count in (1, 5):
    batch = networks.images(network, count)
    np.testing.assert_allclose(run(batch), networks.logits(network, batch), atol=1e-5)
  nodes = onnx_library.load(path).graph.node
  assert {node.domain for node in nodes} == {""}
  # Offsets are known, so nothing is gathered or blended where the network runs.
  names = {node.op_type for node in nodes}
  assert "Conv" in names
  assert not names & {"Where", "Less", "Loop", "If", "ScatterElements", "GatherND"}


def multiply_adds(path):
  """Of one image, counted from the shapes of the graph's products."""
  graph = onnx_library.shape_inference.infer_shapes(onnx_library.load(path)).graph
  shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer} | {
    # The batch has a name and no size.
    value.name: tuple(d.dim_value or 1 for d in value.type.tensor_type.shape.dim)
    for value in (*graph.input, *graph.value_info, *graph.output)
  }
  count = 0
  for node in graph.node:
    weights = shapes.get(node.input[1]) if len(node.input) > 1 else None
    # One number a channel is no product of channels but a factor, like a norm's: a
    # folded layer has one, for a runtime to fuse what comes after into.
    if node.op_type == "Conv" and math.prod(weights[1:]) > 1:
      count += math.prod(shapes[node.output[0]][2:]) * math.prod(weights)
    elif node.op_type in ("Gemm", "MatMul"):
      count += math.prod(weights)
  return count


def test_a_folded_file_is_smaller_and_has_the_multiply_adds_that_are_told(path):
  config = dataclasses.replace(tiny.experiment(), model=tiny.TinyConfig(features=32))
  network = networks.shipped(config, EpitomeRule(routing="tile"), rate=2.0)
  assert "classifier/kernel" in network.plan.compressed
  inventory, sizes, madds = setup.take_inventory(config, 10), {}, {}
  for execution in ("fold", "decode"):
    run = program.run_as(network, execution)
    onnx.write(path, run)
    sizes[execution], madds[execution] = path.stat().st_size, multiply_adds(path)
    price = totals.price(run.plan, inventory, run.config.execution)
    assert madds[execution] == price.madds
  assert sizes["fold"] <= 0.60 * sizes["decode"]
  assert madds["fold"] <= 0.60 * madds["decode"]


def test_a_kernel_that_needs_an_unknown_operator_is_named(path):
  network = networks.shipped(rule=networks.BLOCKWISE)
  with pytest.raises(UserError, match=r"^conv_1/kernel .*--execution=decode"):
    onnx.write(path, program.run_as(network, "fold"))
  assert not path.exists()
  onnx.write(path, program.run_as(network, "decode"))
  assert path.exists()


def test_what_must_be_installed_is_told(path, monkeypatch):
  monkeypatch.setitem(sys.modules, "jax2onnx", None)
  with pytest.raises(UserError, match=r"needs jax2onnx: pip install"):
    onnx.write(path, networks.shipped())
