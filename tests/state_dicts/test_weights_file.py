"""Files of every kind: known by content, read alike, refused in one line."""

import json
import struct
import zipfile

import ml_dtypes
import numpy as np
import pytest
from flax import serialization
from safetensors.numpy import save_file

from neural_epitome import codec
from neural_epitome.errors import UserError
from neural_epitome.state_dicts import weights_file
from tests.state_dicts import files, kinds

KERNEL = np.random.default_rng(0).standard_normal((3, 3, 4, 8)).astype(np.float32)


@pytest.mark.parametrize("kind", kinds.WRITERS)
def test_a_kind_is_known_by_its_content_alone(tmp_path, kind):
  state = {"conv.weight": KERNEL, "conv.bias": KERNEL[0, 0, 0].astype(np.float16)}
  path = tmp_path / "it.doc"
  kinds.WRITERS[kind](path, state)
  file = weights_file.read(path)
  assert file.kind == kind
  assert file.arrays.keys() == state.keys()
  for name, array in state.items():
    np.testing.assert_array_equal(file.arrays[name], array.astype(np.float32))
    assert file.arrays[name].dtype == np.float32
    assert file.dtypes[name] == array.dtype.name
  assert list(file.layouts) == ["conv.weight"]
  sizes = [
    entry.stat().st_size for entry in (path, *path.rglob("*")) if entry.is_file()
  ]
  assert file.nbytes == sum(sizes) > KERNEL.nbytes


def test_forms_and_layouts_are_kept_in_json(tmp_path):
  files.save(tmp_path / "it", {"module.a.weight": KERNEL}, lambda tree: {"net": tree})
  file = weights_file.read(tmp_path / "it")
  for value in (file.form, file.layouts["a.weight"]):
    text = json.dumps(codec.encode(value))
    assert codec.decode(type(value), json.loads(text)) == value


def test_the_layout_of_a_whole_file_may_be_overruled(tmp_path):
  kinds.WRITERS["npz"](tmp_path / "it", {"x": KERNEL})
  for layout, name in ((None, "torch"), ("torch", "torch"), ("flax", "flax")):
    file = weights_file.read(tmp_path / "it", layout)
    assert file.layouts["x"].name == f"{name} conv"
  with pytest.raises(UserError, match="must be one of torch, flax"):
    weights_file.read(tmp_path / "it", "onnx")


@pytest.mark.parametrize("kind", ["safetensors", "npz", "msgpack"])
def test_bfloat16_is_read(tmp_path, kind):
  array = np.asarray([[1.0, -3.140625], [0.0, 2.0]], ml_dtypes.bfloat16)
  kinds.WRITERS[kind](tmp_path / "it", {"x": array})
  file = weights_file.read(tmp_path / "it")
  assert file.dtypes == {"x": "bfloat16"}
  np.testing.assert_array_equal(file.arrays["x"], array.astype(np.float32))


def test_orders_of_axes_and_bytes_are_read_from_npz(tmp_path):
  for name, array in (("F", np.asfortranarray(KERNEL)), (">", KERNEL.astype(">f4"))):
    np.savez_compressed(tmp_path / "it.npz", **{name: array})
    read_array = weights_file.read(tmp_path / "it.npz").arrays[name]
    np.testing.assert_array_equal(read_array, KERNEL)


def test_a_flax_state_gives_its_parameters_and_statistics(tmp_path):
  layer = {"Conv_0": {"kernel": KERNEL}}
  tree = {
    "step": 3,
    "params": layer,
    "opt_state": {"0": {"mu": layer, "nu": layer}},
    "batch_stats": {"Conv_0": {"mean": KERNEL[0, 0, 0]}},
  }
  (tmp_path / "it").write_bytes(serialization.to_bytes(tree))
  file = weights_file.read(tmp_path / "it")
  assert sorted(file.arrays) == ["batch_stats/Conv_0/mean", "params/Conv_0/kernel"]
  assert file.layouts["params/Conv_0/kernel"].name == "flax conv"


BAD = {
  "nan": ({"a.weight": np.asarray([[1, np.nan]])}, "a.weight: not all numbers are"),
  "too large": ({"b": np.asarray([1e300])}, "b: not all numbers are finite"),
  "variance": ({"n.running_var": -np.ones(4)}, "n.running_var: a variance"),
  "int8": (
    {"q.weight": np.ones((4, 4), np.int8), "scale": np.ones(4)},
    r"quantised.*q.weight \(int8\)",
  ),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("kind", ["torch", "safetensors", "npz", "msgpack"])
def test_what_no_network_has_is_refused_by_name(tmp_path, kind, what):
  state, message = BAD[what]
  if (kind, what) == ("torch", "int8"):
    pytest.skip("the writer of these tests has no int8")
  kinds.WRITERS[kind](tmp_path / "it", state)
  with pytest.raises(UserError, match=message):
    weights_file.read(tmp_path / "it")


def test_integers_that_are_no_kernels_are_kept(tmp_path):
  state = {
    "a.weight": KERNEL,
    "index": np.ones((4, 4), np.int64),
    "mask": np.ones((4, 4), bool),
    "num_batches_tracked": np.asarray(3),
  }
  kinds.WRITERS["npz"](tmp_path / "it", state)
  file = weights_file.read(tmp_path / "it")
  assert {name: array.dtype.name for name, array in file.arrays.items()} == {
    "a.weight": "float32", "index": "int64", "mask": "bool",
    "num_batches_tracked": "int64",
  }  # fmt: skip


def test_other_files_are_refused_with_what_to_do(tmp_path):
  path = tmp_path / "it"
  with pytest.raises(UserError, match="it does not exist"):
    weights_file.read(path)
  for content, message in (
    (b"", "is empty"),
    (b"\x89HDF\r\n\x1a\n" + bytes(99), "is HDF5: save the arrays with np.savez"),
    (b"GGUF" + bytes(99), "is GGUF"),
    (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
    (b"\x93NUMPY\x01\x00", "one array without a name"),
    (b"just words of no kind at all", "is none of: file of torch.save, .safetensors"),
    (b"PK\x03\x04 cut", "is no readable file of weights"),
    (b"\x81 no map", "is no readable Flax msgpack"),
  ):
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
      weights_file.read(path)
  with zipfile.ZipFile(path, "w") as archive:
    archive.writestr("other", b"")
  with pytest.raises(UserError, match=r"neither torch's data.pkl nor .npy"):
    weights_file.read(path)
  save_file({"x": KERNEL}, path, {"format": "neural_epitome"})
  with pytest.raises(UserError, match="is a compact file of this package"):
    weights_file.read(path)
  with pytest.raises(UserError, match="is a folder, and no Orbax checkpoint"):
    weights_file.read(tmp_path)


def test_archives_that_grow_are_refused(tmp_path):
  np.savez_compressed(tmp_path / "it.npz", x=np.zeros(10**7, np.float32))
  with pytest.raises(UserError, match="more than 64 times as many"):
    weights_file.read(tmp_path / "it.npz")


def test_objects_in_npz_are_not_unpickled(tmp_path):
  np.savez(tmp_path / "it.npz", x=np.asarray([{}, None], object))
  with pytest.raises(UserError, match=r"no readable \.npz file"):
    weights_file.read(tmp_path / "it.npz")


def test_two_arrays_of_one_name_are_refused(tmp_path):
  np.savez(tmp_path / "it.npz", x=KERNEL, y=KERNEL)
  content = (tmp_path / "it.npz").read_bytes()
  (tmp_path / "it.npz").write_bytes(content.replace(b"y.npy", b"x.npy"))
  with pytest.raises(UserError, match="has two arrays of the name x"):
    weights_file.read(tmp_path / "it.npz")


def test_a_torchscript_program_is_named_as_such(tmp_path):
  with zipfile.ZipFile(tmp_path / "it.pt", "w") as archive:
    for name in ("data.pkl", "constants.pkl"):
      archive.writestr(f"it/{name}", b"")
  with pytest.raises(UserError, match="is a TorchScript program"):
    weights_file.read(tmp_path / "it.pt")


def test_a_header_that_lies_is_refused(tmp_path):
  header = json.dumps({"x": {"dtype": "F32", "shape": [4], "data_offsets": [0, 99]}})
  content = struct.pack("<Q", len(header)) + header.encode() + bytes(16)
  (tmp_path / "it").write_bytes(content)
  with pytest.raises(UserError, match=r"no readable \.safetensors file"):
    weights_file.read(tmp_path / "it")


def test_objects_beside_the_weights_are_left_out_and_pickled_modules_read(tmp_path):
  place = files.storage("FloatStorage", "0", 4)
  tensor = files.tensor(place, 0, (2, 2), (2, 1))
  other = files.Raw(files.opcodes(files.Global("some", "Class")) + b")\x81")
  state = {"_parameters": {"weight": tensor}, "_buffers": {}, "_modules": {}}
  inner = files.Built(other, state)
  outer = files.Built(other, {"_parameters": {}, "_modules": {"fc": inner}})
  numbers = {"0": np.arange(4, dtype="<f4").tobytes()}
  for tree in ({"args": other, "state": {"fc.weight": tensor}}, outer):
    files.write(tmp_path / "it", tree, numbers)
    arrays = weights_file.read(tmp_path / "it").arrays
    np.testing.assert_array_equal(arrays["fc.weight"], [[0, 1], [2, 3]])
  files.write(tmp_path / "it", {"args": other}, numbers)
  with pytest.raises(UserError, match=r"asks for some\.Class, which .* not run"):
    weights_file.read(tmp_path / "it")


@pytest.mark.parametrize("kind", ["torch", "safetensors", "msgpack"])
def test_names_of_any_length_and_depth_take_no_time(tmp_path, kind):
  for name in ("/".join("a" * 200_000), ".".join("a" * 200_000)):
    kinds.WRITERS[kind](tmp_path / "it", {name: KERNEL})
    with pytest.raises(UserError, match="names are of 1 to 1,000"):
      weights_file.read(tmp_path / "it")


@pytest.mark.parametrize("count", [1, 3])
def test_of_a_folder_that_a_library_saved_the_file_is_named(tmp_path, count):
  (tmp_path / "config.json").write_text("{}")
  for place in range(count):
    (tmp_path / f"model-{place}.safetensors").write_bytes(b"")
  more = " or 2 more" if count > 1 else ""
  with pytest.raises(UserError, match=f"/model-0.safetensors{more}[.]"):
    weights_file.read(tmp_path)
