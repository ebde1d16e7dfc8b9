"""LiteRT answers as the network does, from built-in operators."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
from ai_edge_litert import interpreter

from neural_epitome.epitome.generators import EpitomeRule
from neural_epitome.errors import UserError
from neural_epitome.export import litert, program
from tests.export import networks
from tests.training import tiny

# Of the converter's own dependencies.
pytestmark = [
  pytest.mark.slow,
  pytest.mark.filterwarnings("ignore::DeprecationWarning"),
  pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture
def path(tmp_path):
  return tmp_path / "network.tflite"


def network(rule=None, **options):
  """Wide enough for folding to pay."""
  config = dataclasses.replace(tiny.experiment(), model=tiny.TinyConfig(features=32))
  return networks.shipped(config, rule or EpitomeRule(margin=1), **options)


def operators(path):
  network = interpreter.Interpreter(os.fspath(path))
  return [operator["op_name"] for operator in network._get_ops_details()]


def test_litert_answers_for_any_batch(path):
  source, sizes = network(EpitomeRule(margin=1, side="both"), rate=4.0), {}
  for execution in ("fold", "decode"):
    litert.write(path, program.run_as(source, execution))
    run = litert.read(path)
    for count in (5, 1, 2):
      batch = networks.images(source, count)
      np.testing.assert_allclose(run(batch), networks.logits(source, batch), atol=1e-5)
    assert set(operators(path)) - {"DELEGATE"} <= {
      *("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "PAD", "SUM", "MUL"),
      *("ADD", "STRIDED_SLICE", "CONCATENATION"),
    }
    sizes[execution] = path.stat().st_size
  assert sizes["fold"] < 0.5 * sizes["decode"]


def test_a_scale_and_a_bias_after_folding_are_part_of_a_convolution(path):
  source = network(EpitomeRule(routing="tile", side="output"))
  litert.write(path, program.run_as(source, "fold"))
  names = operators(path)
  assert names.count("CONCATENATION") == 2
  assert not {"MUL", "RELU"} & set(names)
  # That of the classifier.
  assert names.count("ADD") == 1


def test_the_layer_that_the_converter_cannot_take_is_named(path):
  source = network(networks.BLOCKWISE)
  with pytest.raises(UserError, match=r"^conv_1/kernel cannot .*--execution=decode"):
    litert.write(path, program.run_as(source, "materialise"))
  assert not path.exists()


@pytest.mark.parametrize(
  ("module", "call"),
  [
    ("tensorflow", lambda path: litert.write(path, networks.shipped())),
    ("ai_edge_litert.interpreter", litert.read),
  ],
)
def test_what_must_be_installed_is_told(path, monkeypatch, module, call):
  monkeypatch.setitem(sys.modules, module, None)
  package = module.partition(".")[0]
  with pytest.raises(UserError, match=rf"needs {package}: pip install"):
    call(path)


def test_tensorflow_is_imported_to_write_alone():
  code = """
import sys
from neural_epitome.export import job, litert
assert not {"tensorflow", "ai_edge_litert"} & set(sys.modules)
"""
  subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
