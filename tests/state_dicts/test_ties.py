"""Arrays that several names have in a file are known to be one."""

import numpy as np
import pytest
from flax import serialization
from safetensors.numpy import save_file

from neural_epitome.state_dicts import weights_file, writing

torch = pytest.importorskip("torch")

TABLE = np.random.default_rng(0).standard_normal((20, 8)).astype(np.float32)
TIED = {"decoder.weight": "embed.weight"}


def arrays():
  return {"embed.weight": TABLE, "decoder.weight": TABLE.copy(), "bias": TABLE[0]}


@pytest.mark.parametrize("is_new", [True, False])
def test_in_a_file_of_torch_one_tensor_is_one(tmp_path, is_new):
  table = torch.tensor(TABLE)
  state = {
    "embed.weight": table,
    "decoder.weight": table,
    "copy.weight": table.clone(),
    "view.weight": table.T,
    "half.weight": table[:10],
  }
  path = tmp_path / "it.pth"
  torch.save(state, path, _use_new_zipfile_serialization=is_new)
  assert weights_file.read(path).ties == TIED


@pytest.mark.parametrize("kind", ["safetensors", "npz", "msgpack"])
def test_in_other_files_kernels_of_the_same_numbers_are_one(tmp_path, kind):
  path = tmp_path / f"it.{kind}"
  if kind == "safetensors":
    save_file(arrays(), path)
  elif kind == "npz":
    np.savez(path, **arrays())
  else:
    path.write_bytes(serialization.to_bytes(arrays()))
  [(name, first)] = weights_file.read(path).ties.items()
  assert {name, first} == {"embed.weight", "decoder.weight"}


def test_what_is_no_kernel_or_differs_is_not_one(tmp_path):
  np.savez(tmp_path / "it.npz", w=TABLE, v=TABLE + 1, bias=TABLE[0], b=TABLE[0])
  assert not weights_file.read(tmp_path / "it.npz").ties


def test_one_tensor_is_written_once_as_torch_does(tmp_path):
  state = {"embed.weight": TABLE, "decoder.weight": TABLE}
  paths = {name: (name,) for name in state}
  form = weights_file.Form("torch", dict.fromkeys(state, "float16"), paths)
  writing.write(tmp_path / "it.pth", state, form)
  back = torch.load(tmp_path / "it.pth", weights_only=True)
  assert back["embed.weight"].data_ptr() == back["decoder.weight"].data_ptr()
  assert weights_file.read(tmp_path / "it.pth").ties == TIED
