"""Strict JAX modes and two CPU devices, set before JAX starts.

XLA's backend optimises little here: most of the suite's time is compilation, and at
this level it is half of it.
"""

import contextlib
import os
import sys

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = (
  "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
)

import hypothesis
import jax
import pytest

import neural_epitome as ne
from neural_epitome.runs import malloc

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_threefry_partitionable", True)

hypothesis.settings.register_profile(
  "default", deadline=None, max_examples=25, derandomize=True, print_blob=True
)
hypothesis.settings.load_profile("default")


@pytest.fixture(autouse=True, scope="session")
def _freed_memory_goes_back():
  """Keeping it is a choice for a whole process, of one run and not of hundreds."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(malloc, "keep_freed_memory", lambda: False)
    yield


@pytest.fixture(autouse=True, scope="module")
def _programs_are_dropped():
  """A worker that keeps every program that it compiled grows by gigabytes."""
  yield
  jax.clear_caches()


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
  from tests.training import tiny

  workdir = tmp_path_factory.mktemp("whole") / "run"
  before = set(sys.modules)
  with _caching(cache_directory):
    report = ne.run(tiny.experiment(), workdir, quiet=True)
  # Another test of this process may have imported it.
  assert "tensorflow" not in set(sys.modules) - before
  return workdir, report
