"""Parameters read back from their compact file."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import neural_epitome as ne
from neural_epitome.compression import compact_reader, trees
from neural_epitome.errors import UserError

FIXTURES = pathlib.Path(__file__).parents[1] / "fixtures"


def tree():
  """Kernels of a network, one of several axes and one too small, and a counter."""
  random = np.random.default_rng(0)

  def normal(*shape):
    return random.normal(size=shape).astype(np.float32)

  return {
    "stem": {"kernel": normal(3, 3, 3, 16)},
    "query": {"kernel": normal(32, 4, 8), "bias": normal(4, 8)},
    "steps": np.int32(7),
    "wide": {"kernel": normal(3, 3, 32, 48)},
  }


@pytest.fixture(scope="module", params=[("closed", 32), ("full", 4), ("closed", 8)])
def saved(request, tmp_path_factory):
  """A compressed tree, and its file."""
  fit, bits = request.param
  small = ne.compress(tree(), "3x", fit=fit, bits=bits, quiet=True)
  path = tmp_path_factory.mktemp("saved") / "small.safetensors"
  small.save(path)
  return small, path


def test_what_is_loaded_expands_to_the_same_tree(saved):
  small, path = saved
  again = ne.load_compressed(path)
  wanted, found = small.expand(small.compact), again.expand(again.compact)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), found, wanted)
  assert again.plan == small.plan
  assert again.totals == small.totals


def test_what_is_loaded_trains_and_is_saved_as_it_was(saved, tmp_path):
  _, path = saved
  again = ne.load_compressed(path)

  def loss(compact):
    return jnp.sum(again.expand(compact)["wide"]["kernel"] ** 2)

  floats = {k: v for k, v in again.compact.items() if k != "steps"}
  gradients = jax.grad(lambda c: loss(again.compact | c))(floats)
  assert any(np.abs(value).max() > 0 for value in gradients.values())
  again.save(tmp_path / "again.safetensors")
  first, second = map(compact_reader.read, (path, tmp_path / "again.safetensors"))
  assert first.metadata == second.metadata
  for name, value in first.parameters().items():
    np.testing.assert_allclose(second.parameters()[name], value, atol=1e-6)


def test_files_of_earlier_releases_are_read():
  path = FIXTURES / "before_plan_2/compressed.safetensors"
  again = ne.load_compressed(path)
  found = trees.take_apart(again.expand(again.compact)).arrays
  wanted = compact_reader.read(path).parameters()
  assert found.keys() == wanted.keys()
  for name, value in wanted.items():
    np.testing.assert_allclose(found[name], value, atol=1e-6)


def test_what_is_no_network_or_no_file_is_told(saved, tmp_path):
  _, path = saved
  with pytest.raises(UserError, match=r"no network: ne\.load_compressed reads it"):
    ne.load(path)
  with pytest.raises(UserError, match="does not exist"):
    ne.load_compressed(tmp_path / "absent.safetensors")
  cut = tmp_path / "cut.safetensors"
  cut.write_bytes(path.read_bytes()[:-1])
  with pytest.raises(UserError, match="is no compact file"):
    ne.load_compressed(cut)
