"""What an export says of its files holds of the files."""

import numpy as np
import pytest

import neural_epitome as ne
from neural_epitome.epitome.generators import EpitomeRule
from neural_epitome.errors import UserError
from neural_epitome.export import job
from neural_epitome.report import tables
from tests.export import networks


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
  assert all(mode["median_ms"] > 0 for mode in modes.values())
  text = tables.export_table(found)
  assert str(path) in text
  assert f"{modes['fold']['madds']:,}" in text


def test_stored_numbers_are_the_same_however_a_program_would_run_them(tmp_path):
  network = networks.trained(rule=EpitomeRule(side="both"), rate=4.0)
  for execution in ("decode", "fold"):
    directory = tmp_path / execution
    job.export(network, directory, ["compact"], execution=execution)
    assert ne.load(directory / "tiny.safetensors").plan == network.plan
    assert not list(directory.glob("*.partial"))


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
