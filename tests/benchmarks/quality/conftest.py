"""A network of a few channels, two steps an epoch, and its images."""

import pytest

from benchmarks.quality.networks import NETWORKS, Network
from benchmarks.quality.plain import PlainConfig
from benchmarks.quality.running import Place
from benchmarks.quality.training import Recipe
from tests.data.cifar100_sheets import write_sheets


@pytest.fixture
def tiny(monkeypatch):
  """The name of the network."""
  config = PlainConfig(channels=(8, 16))
  network = Network(config, epochs=2, sheets=1, recipe=Recipe(batch=10))
  monkeypatch.setitem(NETWORKS, "tiny", network)
  return "tiny"


@pytest.fixture
def place(tmp_path):
  write_sheets(tmp_path / "sheets", ("train-0", "test"), columns=20)
  return Place(tmp_path / "sheets", tmp_path / "cache", tmp_path / "work")
