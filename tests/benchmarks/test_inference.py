"""What a row of inference says of its file holds of the file."""

import dataclasses
import importlib

import pytest

from benchmarks.inference import measurement as inference
from neural_epitome.epitome.generators import EpitomeRule
from neural_epitome.export import measured, program
from neural_epitome.training import setup
from tests.export import networks

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("side", ["narrow", "wide"])
def test_a_floor_has_one_channel_of_the_side_that_is_compressed(
  tmp_path, monkeypatch, side
):
  monkeypatch.setattr(inference, "CLASSES", 10)
  network = networks.shipped(rule=EpitomeRule(routing="tile", side=side))
  inventory = setup.take_inventory(network.config, 10)
  plan = inference.Narrowest(network.config.planner).plan(inventory)
  compressed = network.plan.compressed
  assert plan.compressed == compressed
  for path in compressed:
    *_, rows, columns = network.plan.kernels[path].generator.shape
    *_, inputs, outputs = network.plan.kernels[path].shape
    one = (1 if rows < inputs else inputs, 1 if columns < outputs else outputs)
    assert plan.kernels[path].generator.shape[-2:] == one
  path = tmp_path / "file"
  path.touch()
  sizes = [
    inference._size(path, run)
    for run in (
      program.run_as(inference.network(network.config, network.config.planner), how)
      for how in ("decode", "fold")
    )
  ]
  floor = inference.network(network.config, inference.Narrowest(network.config.planner))
  sizes.append(inference._size(path, program.run_as(floor, "fold")))
  madds = [row["madds"] for row in sizes]
  assert sorted(madds, reverse=True) == madds
  assert [row["folded"] for row in sizes] == [0, len(compressed), len(compressed)]


@pytest.mark.parametrize("side", ["narrow", "wide"])
def test_what_is_measured_is_measured_at_each_batch_size(tmp_path, monkeypatch, side):
  batches, network = [], networks.shipped()
  paths = network.plan.compressed

  def faster_decoded(trained, compiled, batch):
    batches.append(batch)
    return paths if batch == 8 else ()

  monkeypatch.setattr(inference, "network", lambda config, planner: network)
  monkeypatch.setattr(measured, "faster_decoded", faster_decoded)
  rule = dataclasses.replace(network.config.planner.rule, side=side)
  planner = dataclasses.replace(network.config.planner, rule=rule)
  config = dataclasses.replace(network.config, planner=planner)
  files = inference.write_files(config, "xla", (1, 8), tmp_path)
  assert batches == [1, 8]
  # One channel of the wide side, copied to hundreds, is no floor.
  modes = {mode for mode in inference.MODES if mode != "floor" or side == "narrow"}
  assert files.keys() == {(mode, n) for mode in modes for n in (1, 8)}
  (one, run_1), (eight, run_8) = files["measured", 1], files["measured", 8]
  assert one != eight
  assert run_1.plan.compressed == paths
  assert run_8.plan.compressed == ()


def test_of_litert_a_file_with_kernels_built_counts_as_dense(tmp_path, monkeypatch):
  network = networks.shipped()
  written = importlib.import_module("neural_epitome.export.litert")
  monkeypatch.setattr(inference, "network", lambda config, planner: network)
  monkeypatch.setattr(measured, "faster_decoded", lambda *_: ())
  monkeypatch.setattr(written, "write", lambda path, run: path.touch())
  files = inference.write_files(network.config, "litert", (1,), tmp_path)
  assert files["materialise", 1][1].plan == files["dense", 1][1].plan
  assert files["materialise", 1][0] != files["dense", 1][0]
