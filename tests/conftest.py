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

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_threefry_partitionable", True)

hypothesis.settings.register_profile(
  "default", deadline=None, max_examples=25, derandomize=True, print_blob=True
)
hypothesis.settings.load_profile("default")
