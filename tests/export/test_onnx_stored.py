"""Kernels of windows lie in an ONNX file as they are stored, and it answers alike."""

import dataclasses

import numpy as np
import onnx as onnx_library
import pytest

from neural_epitome.epitome.generators import WindowedEpitomeRule
from neural_epitome.export import (
  compact,
  inference_model,
  job,
  onnx,
  onnx_stored,
  program,
)
from tests.export import networks
from tests.training import tiny

# Of the converter's own dependencies.
pytestmark = [
  pytest.mark.slow,
  pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def network(bits):
  config = dataclasses.replace(tiny.experiment(), model=tiny.TinyConfig(features=32))
  made = networks.shipped(config, WindowedEpitomeRule(length=512), source="free")
  return inference_model.at_bits(made, bits)


@pytest.mark.parametrize("bits", [8, 4, 32])
def test_the_file_is_little_larger_than_the_compact_one(bits, tmp_path):
  stored = network(bits)
  run = program.run_as(stored, "fold", onnx_stored.paths(stored))
  onnx.write(tmp_path / "stored.onnx", run, stored=stored)
  onnx.write(tmp_path / "full.onnx", run)
  compact.write(tmp_path / "network.safetensors", stored)
  size, full, least = (
    (tmp_path / name).stat().st_size
    for name in ("stored.onnx", "full.onnx", "network.safetensors")
  )
  # Operators and what is no kernel take the rest.
  assert size < least + 4500 < full / 6
  graph = onnx_library.load(tmp_path / "stored.onnx").graph
  assert [one.name for one in graph.input] == ["images"]
  call = onnx.read(tmp_path / "stored.onnx")
  for count in (1, 3):
    batch = networks.images(stored, count)
    np.testing.assert_allclose(call(batch), networks.logits(stored, batch), atol=1e-5)


def test_the_job_writes_it_so_unless_kernels_are_to_be_decoded(tmp_path):
  sizes = {}
  for execution in ("fold", "decode"):
    found = job.export(
      network(8), tmp_path / execution, ["onnx"], execution=execution, quiet=True
    )
    [file] = found["files"]
    assert file["largest_difference"] < 1e-4
    sizes[execution] = file["bytes"]
  assert 6 * sizes["fold"] < sizes["decode"]
