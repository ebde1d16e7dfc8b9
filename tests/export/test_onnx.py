"""ONNX Runtime answers as the network does, from standard operators."""

import sys

import numpy as np
import onnx as onnx_library
import pytest

from neural_epitome.epitome.generators import EpitomeRule
from neural_epitome.errors import UserError
from neural_epitome.export import onnx, program
from tests.export import networks

# Of the converter's own dependencies.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


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
