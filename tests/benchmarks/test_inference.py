"""What a row of inference says of its file holds of the file."""

import dataclasses
import importlib

from benchmarks import inference
from benchmarks.step_time import Without
from neural_epitome.epitome.generators import EpitomeRule
from neural_epitome.export import measured, program
from neural_epitome.training import setup
from tests.export import networks


def test_a_floor_counts_what_is_left_of_the_network(tmp_path, monkeypatch):
  monkeypatch.setattr(inference, "CLASSES", 10)
  network = networks.shipped(rule=EpitomeRule(routing="tile"))
  uses = setup.take_inventory(network.config, 10).kernels
  without = Without(network.config.planner).plan(
    setup.take_inventory(network.config, 10)
  )
  folding = dataclasses.replace(network.config, execution="fold")
  path = tmp_path / "file"
  path.touch()
  dense, fold, floor = (
    inference._size(path, run)
    for run in (
      program.run_as(network, "decode"),
      program.run_as(network, "fold"),
      dataclasses.replace(network, plan=without, config=folding),
    )
  )
  assert floor["folded"] == dense["folded"] == 0
  assert fold["folded"] == len(network.plan.compressed)
  left = sum(use.madds for use in uses if use.path not in network.plan.compressed)
  assert left == floor["madds"] < fold["madds"] < dense["madds"]


def test_what_is_measured_is_measured_at_each_batch_size(tmp_path, monkeypatch):
  asked, network = [], networks.shipped()
  paths = network.plan.compressed

  def faster_decoded(trained, compiled, batch):
    asked.append(batch)
    return paths if batch == 8 else ()

  monkeypatch.setattr(inference, "network", lambda config, planner: network)
  monkeypatch.setattr(measured, "faster_decoded", faster_decoded)
  files = inference.write_files(network.config, "xla", (1, 8), tmp_path)
  assert asked == [1, 8]
  assert files.keys() == {(mode, n) for mode in inference.MODES for n in (1, 8)}
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
