"""What an export says of its files holds of the files."""

import dataclasses
import re
import time
import types

import numpy as np
import pytest

import neural_epitome as ne
from neural_epitome.compression import compact_reader
from neural_epitome.epitome.generators import EpitomeRule
from neural_epitome.errors import UserError
from neural_epitome.export import compact, inference_model, job, onnx, program
from neural_epitome.report import summary, tables
from neural_epitome.training import setup
from tests.export import networks
from tests.training import tiny

pytestmark = pytest.mark.slow


def test_an_export_says_bytes_numbers_differences_and_times(tmp_path):
  network = networks.trained(rule=EpitomeRule(side="both"), rate=4.0)
  found = job.export(network, tmp_path / "new", ["compact"], bits=8)
  [file] = found["files"]
  path = tmp_path / "new" / "tiny.safetensors"
  assert (file["format"], file["file"]) == ("compact", str(path))
  assert file["bytes"] == path.stat().st_size
  loaded, frozen = (
    ne.load(path),
    networks.shipped(rule=EpitomeRule(side="both"), rate=4.0),
  )
  batch = np.random.default_rng(0).normal(size=(8, 28, 28, 1)).astype(np.float32)
  moved = np.abs(networks.logits(loaded, batch) - networks.logits(frozen, batch)).max()
  assert file["largest_difference"] == pytest.approx(moved, rel=0.01)
  assert 1e-4 < moved < 1.0
  modes = found["modes"]
  assert (
    modes["fold"]["madds"] < modes["materialise"]["madds"] == modes["decode"]["madds"]
  )
  assert all(mode["median_ms"].keys() == {"XLA"} for mode in modes.values())
  assert all(mode["median_ms"]["XLA"] > 0 for mode in modes.values())
  text = tables.export_table(found)
  assert str(path) in text
  assert f"{modes['fold']['madds']:,}" in text


# Of the converter's own dependencies.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_is_printed_tells_the_time_in_the_runtime_of_the_format(
  tmp_path, monkeypatch
):
  pytest.importorskip("onnxruntime")
  compiled, called = onnx.compiled, []

  def slow(function, shape):
    run = compiled(function, shape)
    called.append(shape)
    return lambda x: (time.sleep(0.05), run(x))

  monkeypatch.setattr(onnx, "compiled", slow)
  monkeypatch.setattr(job, "_ROUNDS", 3)
  network = networks.trained(rule=EpitomeRule(side="both"), rate=4.0)
  found = job.export(network, tmp_path, ["onnx"], quiet=True)
  assert called == [(1, 28, 28, 1)] * 3
  head, _, *lines = tables.export_table(found).splitlines()[-5:]
  assert re.split(r"  +", head.strip()) == [
    "run as",
    "MAdds",
    "XLA, ms",
    "ONNX Runtime, ms",
  ]
  for line, name in zip(lines, ("fold", "materialise", "decode"), strict=True):
    told, madds, xla, own = line.split()
    assert (told, madds) == (name, f"{found['modes'][name]['madds']:,}")
    assert 0 < float(xla) < 50 <= float(own)


def test_a_way_to_run_that_a_runtime_does_not_take_has_no_time_in_it():
  network = networks.shipped()

  def compiled(function, shape):
    raise UserError("no operator for it")

  other = types.SimpleNamespace(IS_PROGRAM=True, RUNTIME="other", compiled=compiled)
  example = networks.images(network, 1)
  [row] = job._modes(
    {"decode": program.run_as(network, "decode")}, {"other": other}, example, True
  ).values()
  assert set(row["median_ms"]) == {"XLA"}


def test_stored_numbers_are_the_same_however_a_program_would_run_them(tmp_path):
  network = networks.trained(rule=EpitomeRule(side="both"), rate=4.0)
  for execution in ("decode", "fold"):
    directory = tmp_path / execution
    job.export(network, directory, ["compact"], execution=execution)
    assert ne.load(directory / "tiny.safetensors").plan == network.plan
    assert not list(directory.glob("*.partial"))


def test_a_network_of_few_bits_is_its_file_unless_others_are_wanted(tmp_path):
  config = dataclasses.replace(tiny.experiment(), bits=4)
  rule = EpitomeRule(routing="tile", scaled=True, side="both")
  network = networks.trained(config, rule=rule)
  batch = networks.images(network)
  wanted = networks.logits(inference_model.shipped(network), batch)
  found = job.export(network, tmp_path, ["compact"])
  [file] = found["files"]
  loaded = ne.load(file["file"])
  np.testing.assert_allclose(networks.logits(loaded, batch), wanted, atol=1e-6)
  tensors = compact_reader.read(file["file"]).metadata["plan"]["tensors"]
  assert {t["bits"] for n, t in tensors.items() if not n.endswith("/scale")} == {4}
  inventory = setup.take_inventory(config, 10)
  price = summary.prices(config, network.plan, inventory)
  assert found["network"]["stored_bytes"] == price["stored_bytes"]
  # In floats too it is the network that was trained.
  compact.write(tmp_path / "floats.safetensors", inference_model.shipped(network), 32)
  floats = ne.load(tmp_path / "floats.safetensors")
  np.testing.assert_allclose(networks.logits(floats, batch), wanted, atol=1e-6)


@pytest.mark.parametrize(
  ("formats", "bits", "words"),
  [
    (["compact", "onxx"], 32, "no format 'onxx'"),
    (["compact", "stablehlo"], 8, "stablehlo holds float32; --bits=8 is for"),
  ],
)
def test_a_mistake_is_told_before_anything_is_written(tmp_path, formats, bits, words):
  with pytest.raises(UserError, match=words):
    job.export(networks.trained(), tmp_path / "new", formats, bits=bits)
  assert not (tmp_path / "new").exists()
