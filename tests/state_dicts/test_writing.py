"""What is written is read again: names, shapes, types, numbers, dictionaries."""

import ml_dtypes
import numpy as np
import pytest

from neural_epitome.errors import UserError
from neural_epitome.state_dicts import weights_file, writing
from tests.state_dicts import files, kinds

KINDS = ("torch", "safetensors", "npz", "msgpack")
NUMBERS = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)
STATE = {
  "module.conv.weight": NUMBERS,
  "module.conv.bias": NUMBERS[:, 0, 0, 0].astype(np.float16),
  "module.norm.weight": NUMBERS[0, 0, 0].astype(np.float64),
  "module.norm.num_batches_tracked": np.asarray(7, np.int64),
  "module.mask": np.asarray([True, False]),
  "module.none": np.zeros((0, 2), np.float32),
}


def assert_same(actual, expected):
  assert actual.dtypes == expected.dtypes
  assert actual.arrays.keys() == expected.arrays.keys()
  for name, array in expected.arrays.items():
    assert actual.arrays[name].dtype == array.dtype
    assert actual.arrays[name].shape == array.shape
    np.testing.assert_array_equal(actual.arrays[name], array)
  assert actual.layouts == expected.layouts


@pytest.fixture
def checkpoint(tmp_path):
  files.save(
    tmp_path / "it.ckpt", STATE, lambda tree: {"epoch": 3, "net": {"state_dict": tree}}
  )
  return weights_file.read(tmp_path / "it.ckpt")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read_again(tmp_path, checkpoint, kind):
  writing.write(tmp_path / "other", checkpoint.arrays, checkpoint.form, kind)
  rewritten = weights_file.read(tmp_path / "other")
  assert rewritten.kind == kind
  assert_same(rewritten, checkpoint)
  if kind == "torch":
    assert rewritten.form == checkpoint.form
    assert rewritten.note == "other: takes net.state_dict.module"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_names_of_nested_layers_survive_every_kind(tmp_path, source, kind):
  names = {
    "params/Conv_0/kernel": "bfloat16",
    "params/Dense_0/kernel": "float32",
    "batch_stats/norm/mean": "float32",
  }
  paths = {name: tuple(name.split("/")) for name in names}
  if source == "torch":
    paths = {name: (name,) for name in names}
  form = weights_file.Form(source, names, paths)
  arrays = {
    name: np.asarray(NUMBERS[0, 0], ml_dtypes.bfloat16).astype(np.float32)
    for name in names
  }
  writing.write(tmp_path / "first", arrays, form)
  first = weights_file.read(tmp_path / "first")
  writing.write(tmp_path / "second", first.arrays, first.form, kind)
  second = weights_file.read(tmp_path / "second")
  assert sorted(second.arrays) == sorted(arrays)
  for name, array in arrays.items():
    np.testing.assert_array_equal(second.arrays[name], array)
    assert second.dtypes[name] == names[name]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_weights_give_the_same_bytes(tmp_path, checkpoint, kind):
  for name in ("one", "two"):
    writing.write(tmp_path / name, checkpoint.arrays, checkpoint.form, kind)
  assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_what_a_narrow_type_cannot_hold_is_its_largest_number(tmp_path):
  form = weights_file.Form("npz", {"x": "float16"}, {"x": ("x",)})
  writing.write(tmp_path / "x", {"x": np.asarray([1e6, -1e6], np.float32)}, form)
  np.testing.assert_array_equal(
    weights_file.read(tmp_path / "x").arrays["x"], [65504, -65504]
  )


def test_what_cannot_be_written_is_refused(tmp_path, checkpoint):
  arrays, form = checkpoint.arrays, checkpoint.form
  with pytest.raises(UserError, match="kind='onnx' is not written of this"):
    writing.write(tmp_path / "x", arrays, form, "onnx")
  with pytest.raises(UserError, match="other is no array of the file"):
    writing.write(tmp_path / "x", {"other": NUMBERS}, form)
  with pytest.raises(UserError, match="cannot be written"):
    writing.write(tmp_path / "none" / "x", arrays, form)
  odd = weights_file.Form("torch", {"x": "uint64"}, {"x": ("x",)})
  with pytest.raises(UserError, match="x is of uint64, which torch has not"):
    writing.write(tmp_path / "x", {"x": np.zeros(1, np.uint64)}, odd)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_torch_itself_reads_what_is_written(tmp_path, dtype):
  torch = pytest.importorskip("torch")
  names = {
    name: dtype if one.dtype.kind == "f" else one.dtype.name
    for name, one in STATE.items()
  }
  paths = {name: ("state_dict", name) for name in STATE}
  writing.write(tmp_path / "it.pth", STATE, weights_file.Form("torch", names, paths))
  for options in ({}, {"mmap": True}):
    loaded = torch.load(tmp_path / "it.pth", weights_only=True, **options)["state_dict"]
    assert list(loaded) == list(STATE)
    for name, array in STATE.items():
      assert str(loaded[name].dtype) == f"torch.{names[name]}"
      expected = torch.tensor(array).to(loaded[name].dtype)
      assert torch.equal(loaded[name], expected)


def test_an_onnx_graph_gets_other_values_and_stays_the_same(tmp_path):
  onnx = pytest.importorskip("onnx")
  state = {"w": NUMBERS, "b": NUMBERS[:, 0, 0, 0].astype(np.float16)}
  kinds.onnx(tmp_path / "it", state)
  first = weights_file.read(tmp_path / "it")
  other = {name: 2 * array for name, array in first.arrays.items()}
  writing.write(tmp_path / "new", other, first.form, source=tmp_path / "it")
  second = weights_file.read(tmp_path / "new")
  assert second.form == first.form
  for name, array in other.items():
    np.testing.assert_array_equal(second.arrays[name], array)
  models = [onnx.load(tmp_path / name) for name in ("it", "new")]
  assert models[0].graph.node == models[1].graph.node
  writing.write(tmp_path / "flat", other, first.form, "safetensors")
  assert weights_file.read(tmp_path / "flat").arrays.keys() == other.keys()
