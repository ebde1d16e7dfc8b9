"""Strict JAX modes and two CPU devices, set before JAX starts.

XLA's backend optimises little here: most of the suite's time is compilation, and at
this level it is half of it.
"""

import os

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = (
  "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
)

import hypothesis
import jax
import pytest

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
