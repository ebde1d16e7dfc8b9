"""What the tests of whole runs share."""

import contextlib
import sys

import jax
import pytest

import neural_epitome as ne
from tests.training import tiny


@contextlib.contextmanager
def _caching(directory):
  before = jax.config.jax_compilation_cache_dir
  jax.config.update("jax_compilation_cache_dir", str(directory))
  yield directory
  jax.config.update("jax_compilation_cache_dir", before)


@pytest.fixture(scope="session")
def cache_directory(tmp_path_factory):
  """Of compiled programs."""
  return tmp_path_factory.mktemp("xla")


@pytest.fixture(scope="module")
def compilation_cache(cache_directory):
  """Programs are compiled once for all runs, and none lands in the home."""
  with _caching(cache_directory):
    yield cache_directory


@pytest.fixture(scope="session")
def whole(tmp_path_factory, cache_directory):
  """The tiny experiment, run without interruption: (directory, report)."""
  workdir = tmp_path_factory.mktemp("whole") / "run"
  before = set(sys.modules)
  with _caching(cache_directory):
    report = ne.run(tiny.experiment(), workdir, quiet=True)
  # Another test of this process may have imported it.
  assert "tensorflow" not in set(sys.modules) - before
  return workdir, report
