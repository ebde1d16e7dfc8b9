"""Files that earlier releases wrote are read, and mean what they meant."""

import dataclasses
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

import neural_epitome as ne
from neural_epitome import codec
from neural_epitome.compression import compact_reader
from neural_epitome.cost import totals
from neural_epitome.epitome import plan_json
from neural_epitome.runs.directory import RunDirectory
from neural_epitome.spaces import latency
from neural_epitome.spaces.chain_space import ChainSpace
from neural_epitome.spaces.cost_model import Prices
from tests.fixtures.before_plan_2 import networks

FOLDER = Path(__file__).parent / "fixtures" / "before_plan_2"
EXPECTED = json.loads((FOLDER / "expected.json").read_text())
RUNS = ["eight_bits", "quantised", "chosen", "elastic"]


def unpacked(name, tmp_path):
  with tarfile.open(FOLDER / f"{name}.tar.gz") as archive:
    archive.extractall(tmp_path, filter="data")
  return tmp_path / name


def assert_near(actual, expected):
  np.testing.assert_allclose(actual, expected, rtol=2e-4, atol=2e-5)


def test_a_plan_of_version_1_generates_the_same_kernels_from_the_same_numbers():
  plan = plan_json.from_json((FOLDER / "plan.json").read_text())
  assert_near(networks.logits(networks.Chain(plan)), EXPECTED["plan"]["logits"])


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_run_directory_has_its_network_at_its_price(name, tmp_path):
  trained = ne.load(unpacked(name, tmp_path))
  assert_near(networks.said(trained), EXPECTED[name]["logits"])
  inventory = networks.inventory(trained)
  price = totals.price(trained.plan, inventory)
  assert dataclasses.asdict(price) == EXPECTED[name]["totals"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["eight_bits", "quantised", "chosen"])
def test_a_run_of_an_earlier_release_goes_on(name, tmp_path):
  workdir = unpacked(name, tmp_path)
  (workdir / "status").write_text("incomplete\n")
  before = (workdir / "config.json").read_bytes()
  report = ne.run(RunDirectory(workdir).config(), workdir, quiet=True)
  assert report["steps"] == 3
  assert (workdir / "config.json").read_bytes() == before
  assert not (workdir / "checkpoints_set_aside").exists()


@pytest.mark.parametrize(
  "name", [name for name in EXPECTED if "kernels" in EXPECTED[name]]
)
def test_a_compact_file_is_expanded_by_numpy_to_the_same_kernels(name):
  sums = networks.sums(compact_reader.read(FOLDER / name))
  assert sums.keys() == EXPECTED[name]["kernels"].keys()
  for path, expected in EXPECTED[name]["kernels"].items():
    assert_near(sums[path], expected)


@pytest.mark.slow
@pytest.mark.parametrize(
  "name", [name for name in EXPECTED if {"kernels", "logits"} <= EXPECTED[name].keys()]
)
def test_a_compact_file_has_its_network(name):
  assert_near(networks.said(ne.load(FOLDER / name)), EXPECTED[name]["logits"])


def test_a_choice_of_a_search_has_its_price():
  choice = json.loads((FOLDER / "search.json").read_text())
  space = codec.decode(ChainSpace, choice["space"])
  table = latency.load(FOLDER / "latency.json", space, anywhere=True)
  price = Prices(space, 10, 1, table).of(space.from_json(choice["arch"]))
  assert price == EXPECTED["search"]
