"""What was compressed goes back into the form of the file that it came from."""

import numpy as np
import pytest

import neural_epitome as ne
from neural_epitome.errors import UserError
from neural_epitome.state_dicts import weights_file
from neural_epitome.weight_files import expanding
from tests.weight_files import networks

ARRAYS = {
  name: array
  for name, array in networks.state().items()
  if name in ("conv.weight", "conv.bias", "half.weight", "norm.num_batches_tracked")
}


@pytest.fixture(scope="module")
def compact(tmp_path_factory):
  folder = tmp_path_factory.mktemp("compact")
  networks.save(folder / "network.pth", ARRAYS)
  small = ne.compress_file(folder / "network.pth", "2x", quiet=True)
  small.save(folder / "small.safetensors")
  return folder / "small.safetensors"


@pytest.mark.slow
@pytest.mark.parametrize("kind", [None, "torch", "safetensors", "npz", "msgpack"])
def test_names_shapes_and_types_are_those_of_the_file(tmp_path, compact, kind):
  path = ne.expand_file(compact, tmp_path / "back", kind)
  back = weights_file.read(path)
  assert back.kind == (kind or "torch")
  assert back.arrays.keys() == ARRAYS.keys()
  for name, array in ARRAYS.items():
    assert back.dtypes[name] == str(array.dtype)
    assert back.arrays[name].shape == array.shape
    np.testing.assert_allclose(back.arrays[name], array, atol=0.2)
  assert back.arrays["norm.num_batches_tracked"] == 7


def test_a_file_that_is_loaded_and_saved_goes_back_too(tmp_path, compact):
  ne.load_compressed(compact).save(tmp_path / "again.safetensors")
  path = ne.expand_file(tmp_path / "again.safetensors", tmp_path / "back.pth")
  assert weights_file.read(path).arrays.keys() == ARRAYS.keys()


def test_a_compact_file_of_something_else_is_refused(tmp_path):
  tree = {"kernel": np.random.default_rng(0).standard_normal((40, 40), np.float32)}
  ne.compress(tree, "2x", quiet=True).save(tmp_path / "it.safetensors")
  assert not expanding.is_of_weights(tmp_path / "it.safetensors")
  with pytest.raises(UserError, match="not made of a file of weights"):
    ne.expand_file(tmp_path / "it.safetensors", tmp_path / "back.pth")


@pytest.mark.parametrize("cut", [0, 7, 100, -1])
def test_a_damaged_file_is_refused_in_one_line(tmp_path, compact, cut):
  path = tmp_path / "cut.safetensors"
  path.write_bytes(compact.read_bytes()[:cut])
  assert not expanding.is_of_weights(path)
  with pytest.raises(UserError) as error:
    ne.expand_file(path, tmp_path / "back.pth")
  assert "\n" not in str(error.value)


def test_a_graph_is_asked_for_where_the_format_has_one(tmp_path, compact):
  with pytest.raises(UserError, match="--weights=FILE"):
    expanding.expand_into(compact, tmp_path, "onnx")


def test_it_is_not_written_over_the_compact_file(compact):
  with pytest.raises(UserError, match="over the compact file"):
    expanding.expand_into(compact, compact.parent, "safetensors")
