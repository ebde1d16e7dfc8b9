import subprocess
import sys

import pytest

# A step needs 80 MB of scratch memory, 20,000 pages. Prints the page faults of one,
# once a dozen have settled where in the heap its blocks lie.
PROGRAM = """
import resource
import sys
from neural_epitome.allocator import keep_freed_memory
kept = sys.argv[1] == "keep" and keep_freed_memory()
import jax
import jax.numpy as jnp

x = jnp.ones((2000, 5000))
step = jax.jit(lambda x: jnp.cumsum(x, 0).max())
def faults():
  return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(12):
  step(x).block_until_ready()
before = faults()
for _ in range(4):
  step(x).block_until_ready()
print(kept, (faults() - before) // 4)
"""


def run(mode):
  command = [sys.executable, "-c", PROGRAM, mode]
  done = subprocess.run(
    command, capture_output=True, text=True, check=True, timeout=120
  )
  kept, faults = done.stdout.split()
  return kept == "True", int(faults)


def test_scratch_memory_is_not_faulted_in_again_each_step():
  kept, faults = run("keep")
  if not kept:
    pytest.skip("the C library is not glibc")
  assert faults < 2_000
  assert run("default")[1] > 10_000
