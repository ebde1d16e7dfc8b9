"""What a run directory holds is read back as it was written."""

import pathlib

import pytest

from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.errors import UserError
from neural_epitome.runs import claims
from neural_epitome.runs.directory import RunDirectory
from tests.training import tiny

PLAN = plans.make([KernelUse("a/kernel", (4, 4))], {})


@pytest.fixture
def directory(tmp_path):
  run = RunDirectory(tmp_path / "run")
  claims.claim(run, tiny.experiment(), PLAN, ("cat", "dog"))
  return run


def test_what_is_written_is_read_back(directory):
  assert directory.config() == tiny.experiment()
  assert directory.plan() == PLAN
  assert directory.classes() == ("cat", "dog")
  assert directory.status == "incomplete"
  directory.set_status("done")
  assert directory.status == "done"
  assert not list(directory.path.glob("*.partial"))


@pytest.mark.parametrize("address", ["gs://bucket/run", "s3://b/r", "file:///tmp/x"])
@pytest.mark.parametrize("kind", [str, pathlib.Path])
def test_an_address_is_no_directory(address, kind):
  with pytest.raises(UserError, match="is an address; mount it as a folder"):
    RunDirectory(kind(address))
