"""What an export says of its files holds of the files."""

import dataclasses
import re
import shutil
import tempfile
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
from tests import disks
from tests.export import networks
from tests.training import tiny

pytestmark = pytest.mark.slow


def test_an_export_says_bytes_numbers_differences_and_times(tmp_path):
  network = networks.trained(rule=EpitomeRule(side="both"), rate=4.0)
  report = job.export(network, tmp_path / "new", ["compact"], bits=8)
  [file] = report["files"]
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
  modes = report["modes"]
  assert (
    modes["fold"]["madds"] < modes["materialise"]["madds"] == modes["decode"]["madds"]
  )
  assert all(mode["median_ms"].keys() == {"XLA"} for mode in modes.values())
  assert all(mode["median_ms"]["XLA"] > 0 for mode in modes.values())
  text = tables.export_table(report)
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
  report = job.export(network, tmp_path, ["onnx"], quiet=True)
  assert called == [(1, 28, 28, 1)] * 3
  head, _, *lines = tables.export_table(report).splitlines()[-5:]
  assert re.split(r"  +", head.strip()) == [
    "run as",
    "MAdds",
    "XLA, ms",
    "ONNX Runtime, ms",
  ]
  for line, name in zip(lines, ("fold", "materialise", "decode"), strict=True):
    mode, madds, xla, own = line.split()
    assert (mode, madds) == (name, f"{report['modes'][name]['madds']:,}")
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
  expected = networks.logits(inference_model.shipped(network), batch)
  report = job.export(network, tmp_path, ["compact"])
  [file] = report["files"]
  loaded = ne.load(file["file"])
  np.testing.assert_allclose(networks.logits(loaded, batch), expected, atol=1e-6)
  tensors = compact_reader.read(file["file"]).metadata["plan"]["tensors"]
  assert {t["bits"] for n, t in tensors.items() if not n.endswith("/scale")} == {4}
  inventory = setup.take_inventory(config, 10)
  price = summary.prices(config, network.plan, inventory)
  assert report["network"]["stored_bytes"] == price["stored_bytes"]
  # In floats too it is the network that was trained.
  compact.write(tmp_path / "floats.safetensors", inference_model.shipped(network), 32)
  floats = ne.load(tmp_path / "floats.safetensors")
  np.testing.assert_allclose(networks.logits(floats, batch), expected, atol=1e-6)


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


def test_formats_that_can_be_made_are_written_where_another_cannot(
  tmp_path, monkeypatch
):
  def refuse(path, network):
    raise UserError("no operator for it.")

  monkeypatch.setattr("neural_epitome.export.stablehlo.write", refuse)
  with pytest.raises(UserError, match=r"no operator for it\. Written: .*tiny\.h") as e:
    job.export(networks.trained(), tmp_path, ["stablehlo", "compact", "c"])
  assert "tiny.safetensors" in str(e.value)
  assert ne.load(tmp_path / "tiny.safetensors").classes
  assert not list(tmp_path.glob("*.partial"))


def test_a_package_that_is_missing_is_told_before_anything_is_written(
  tmp_path, monkeypatch
):
  monkeypatch.setattr(onnx, "NEEDED", (("absent_package", "onnx"),))
  with pytest.raises(UserError, match=r"--format=onnx needs absent_package: pip"):
    job.export(networks.trained(), tmp_path / "new", ["compact", "onnx"])
  assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("kilobytes", [4, 12])
def test_a_full_disk_is_one_line_and_leaves_no_half_of_a_file(tmp_path, kilobytes):
  with disks.small(tmp_path / "disk", kilobytes) as disk:
    with pytest.raises(UserError, match=r"cannot be written: No space left") as caught:
      job.export(networks.trained(), disk, ["stablehlo", "compact"], quiet=True)
    assert "\n" not in str(caught.value)
    assert not list(disk.glob("*.partial"))
    for file in disk.glob("*.safetensors"):
      assert ne.load(file).classes


def test_no_room_for_temporary_files_leaves_the_file_and_tells_that_it_was_not_run(
  tmp_path, monkeypatch
):
  if not any(map(shutil.which, ("cc", "gcc", "clang"))):
    pytest.skip("there is no C compiler")
  monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
  with pytest.raises(UserError, match=r"tiny\.h could not be run here, .* file or dir"):
    job.export(networks.trained(), tmp_path, ["c", "compact"], quiet=True)
  assert ne.load(tmp_path / "tiny.safetensors").classes
  assert (tmp_path / "tiny.h").read_text().startswith("/* {")


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
  (tmp_path / "file").touch()
  with pytest.raises(UserError, match=r"file/new cannot be written: Not a directory"):
    job.export(networks.trained(), tmp_path / "file" / "new", ["compact"])
