"""Parameters read back from their compact file."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import neural_epitome as ne
from neural_epitome.compression import compact_file, compact_reader, trees
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.generators import WindowedEpitome
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.errors import UserError

CHANNELS = ne.ChannelEpitomeRule()
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


@pytest.fixture(
  scope="module", params=[("closed", 32), ("closed", 16), ("full", 4), ("closed", 8)]
)
def saved(request, tmp_path_factory):
  """A compressed tree, and its file."""
  fit, bits = request.param
  small = ne.compress(tree(), "3x", fit=fit, bits=bits, quiet=True, rule=CHANNELS)
  path = tmp_path_factory.mktemp("saved") / "small.safetensors"
  small.save(path)
  return small, path


def test_what_is_loaded_expands_to_the_same_tree(saved):
  small, path = saved
  again = ne.load_compressed(path)
  expected, loaded = small.expand(small.compact), again.expand(again.compact)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), loaded, expected
  )
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
  loaded = trees.take_apart(again.expand(again.compact)).arrays
  expected = compact_reader.read(path).parameters()
  assert loaded.keys() == expected.keys()
  for name, value in expected.items():
    np.testing.assert_allclose(loaded[name], value, atol=1e-6)


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


@pytest.mark.parametrize("bits", [16, 8])
def test_a_ring_of_float16_comes_back_to_the_last_bit(tmp_path, bits):
  path, random = tmp_path / "one.safetensors", np.random.default_rng(1)
  generator = WindowedEpitome(100, (2,), scaled=False)
  uses = [KernelUse("a/kernel", (40, 30)), KernelUse("b/kernel", (30, 10))]
  plan = plans.make(uses, {"a/kernel": generator}).narrowed(
    {"a/kernel": bits, "b/kernel": 16}
  )
  params = {
    "a/ring": random.normal(size=100).astype(np.float32),
    "b/kernel": random.normal(size=(30, 10)).astype(np.float32),
    "b/bias": random.normal(size=10).astype(np.float16),
  }
  starts = {"a/kernel": {"start": random.integers(100, size=(20, 30))}}
  compact_file.write_numbers(path, plan, params, starts)
  rest = {"b/bias": params["b/bias"]}
  assert path.stat().st_size == compact_file.file_bytes(plan, rest)
  read = compact_reader.read(path).parameters()
  again = ne.load_compressed(path)
  assert again.plan == plan
  expanded = again.expand(again.compact)
  half = params["b/kernel"].astype(np.float16).astype(np.float32)
  np.testing.assert_array_equal(read["b/kernel"], half)
  np.testing.assert_array_equal(expanded["b"]["kernel"], half)
  np.testing.assert_array_equal(expanded["b"]["bias"], params["b/bias"])
  if bits == 16:
    ring = params["a/ring"].astype(np.float16).astype(np.float32)
    assert np.isin(read["a/kernel"], ring).all()
  np.testing.assert_allclose(expanded["a"]["kernel"], read["a/kernel"], rtol=1e-6)
  numbers = path.read_bytes()
  again.save(path)
  assert len(path.read_bytes()) == len(numbers)
  saved = compact_reader.read(path).parameters()
  for name, value in read.items():
    np.testing.assert_allclose(saved[name], value, rtol=1e-6)
