"""What must work where requirements-core.txt alone is installed: run by .ci/run.

  python tests/core_only.py

It is a script and no test module, since pytest is not of the core.
"""

import pathlib
import subprocess
import sys
import tempfile
from importlib import metadata

import jax
import numpy as np

import neural_epitome as ne
from neural_epitome import packages

X = jax.numpy.ones((1, 8, 8, 16))


def check_that_this_is_the_core_alone():
  """Fails where more is installed: nothing would be tested."""
  installed = {
    distribution.metadata["Name"].lower() for distribution in metadata.distributions()
  }
  more = {"grain", "matplotlib", "opencv-python-headless", "qwix", "tabulate", "tqdm"}
  assert not more & installed, f"not of the core: {sorted(more & installed)}"


def check_layers():
  """Of Linen and NNX, with a rate."""
  from flax import nnx

  layer = ne.EpitomeConv(32, (3, 3), rate=4)
  variables = layer.init(jax.random.key(0), X)
  assert layer.apply(variables, X).shape == (1, 8, 8, 32)
  assert ne.nnx.EpitomeConv(16, 32, (3, 3), rate=4, rngs=nnx.Rngs(0))(X).shape[-1] == 32


def check_compress():
  """Compresses, saves, loads and expands, by a rule and by the best of all."""
  random = np.random.default_rng(0)

  def normal(*shape: int) -> np.ndarray:
    return random.normal(size=shape).astype(np.float32)

  tree = {
    "layer": {"kernel": normal(3, 3, 48, 64), "bias": normal(64)},
    "last": {"kernel": normal(96, 128)},
  }
  rule = ne.ChannelEpitomeRule()
  by_rule = ne.compress(tree, "30kB", rule=rule, bits=8, fit="full")
  assert "3x3x48x64" in str(by_rule)
  check_it_comes_back(by_rule)
  best = ne.compress(tree, "30kB")
  assert best.totals.stored_bytes <= 30_000
  assert max(best.errors.values()) < max(by_rule.errors.values())
  check_it_comes_back(best)


def check_it_comes_back(small: ne.Compressed):
  """From the file that it saves."""
  with tempfile.TemporaryDirectory() as directory:
    file = pathlib.Path(directory) / "small.safetensors"
    small.save(file)
    again = ne.load_compressed(file)
  expected, expanded = small.expand(small.compact), again.expand(again.compact)
  # Rounded twice, a factor may differ in its last bit.
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-5), expanded, expected)


def check_that_training_names_what_it_lacks():
  """By one line that names a command, here and on the command line."""
  arguments = ["-m", "neural_epitome.main", "--experiment=quick"]
  done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
  assert done.returncode == 1
  try:
    ne.run  # noqa: B018 (it is imported when it is named)
  except ne.UserError as error:
    lines = [done.stderr.removeprefix("error: ").removesuffix("\n"), str(error)]
  known = packages.install_command(packages.requirements()).split()
  for line in lines:
    assert "\n" not in line
    command = line.partition(": ")[2].split()
    assert command[:2] == ["pip", "install"]
    assert "tabulate" in command
    assert set(command) <= set(known)


if __name__ == "__main__":
  check_that_this_is_the_core_alone()
  check_layers()
  check_compress()
  check_that_training_names_what_it_lacks()
  print("The core works alone.")
