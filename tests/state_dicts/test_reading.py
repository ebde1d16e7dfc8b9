"""Files of weights: every type is read, nothing in them runs, damage is told."""

import pickle
import zipfile

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from safetensors.numpy import save_file

from neural_epitome.errors import UserError
from neural_epitome.state_dicts import reading
from tests.state_dicts import files
from tests.state_dicts.files import Built, Call, Global, Persistent, Raw

RANDOM = np.random.default_rng(0)
STATE = {
  "conv.weight": RANDOM.standard_normal((4, 3, 2, 2)).astype(np.float32),
  "conv.bias": RANDOM.standard_normal(4).astype(np.float32),
}
FOUR = {"0": np.arange(4, dtype="<f4").tobytes()}
PLACE = files.storage("FloatStorage", "0", 4)


def assert_read(path, expected):
  arrays = reading.read(path)
  assert arrays.keys() == expected.keys()
  for name, array in expected.items():
    assert arrays[name].dtype == (
      array.dtype if array.dtype.kind != "f" else np.float32
    )
    np.testing.assert_array_equal(arrays[name], array.astype(arrays[name].dtype))


def test_arrays_of_every_type_are_read_from_both_formats(tmp_path):
  numbers = np.asarray([[0, 1, 1], [1, 0, 1]])
  state = {name: numbers.astype(name) for name in files.STORAGES}
  state |= {"scalar": np.int64(7), "empty": np.zeros((0, 3), np.float32)}
  state = {name: np.asarray(array) for name, array in state.items()}
  save_file(state, tmp_path / "it.safetensors", {"format": "pt"})
  assert_read(tmp_path / "it.safetensors", state)
  state["turned"] = RANDOM.standard_normal((3, 5)).astype(np.float32).T
  for old in (False, True):
    files.save(tmp_path / "it.pth", state, old=old)
    assert_read(tmp_path / "it.pth", state)


@pytest.mark.parametrize("order", ["<", ">"])
def test_bfloat16_is_the_upper_half_of_float32_in_either_byte_order(tmp_path, order):
  halves = np.asarray([0x3F80, 0xC049, 0x7F80], order + "u2")
  tree = {"it": files.tensor(files.storage("BFloat16Storage", "x", 3), 0, (3,), (1,))}
  byteorder = {"<": b"little", ">": b"big"}[order]
  files.write(tmp_path / "it.pt", tree, {"x": halves.tobytes()}, byteorder)
  expected = np.asarray([1.0, -3.140625, np.inf], np.float32)
  np.testing.assert_array_equal(reading.read(tmp_path / "it.pt")["it"], expected)


def test_a_view_is_read_at_its_offset_and_strides(tmp_path):
  tree = {
    "tail": files.tensor(PLACE, 1, (3,), (1,)),
    "turned": files.tensor(PLACE, 0, (2, 2), (1, 2)),
    "own": Call(
      Global("torch._utils", "_rebuild_parameter"),
      (files.tensor(PLACE, 2, (2,), (1,)), True, None),
    ),
  }
  files.write(tmp_path / "it.pth", tree, FOUR, byteorder=None)
  arrays = reading.read(tmp_path / "it.pth")
  np.testing.assert_array_equal(arrays["tail"], [1, 2, 3])
  np.testing.assert_array_equal(arrays["turned"], [[0, 2], [1, 3]])
  np.testing.assert_array_equal(arrays["own"], [2, 3])


@pytest.mark.parametrize(
  "wrap",
  [
    lambda tree: {"epoch": 3, "state_dict": tree},
    lambda tree: {"model": {"state_dict_ema": tree, "state_dict": {}}},
    lambda tree: {f"module._orig_mod.{name}": leaf for name, leaf in tree.items()},
    lambda tree: tree | {"extra": 1},
    lambda tree: Built(
      Call(Global("collections", "OrderedDict"), (tree,)), {"items": 3}
    ),
  ],
)
def test_weights_are_found_in_what_they_are_wrapped_in(tmp_path, wrap):
  files.save(tmp_path / "it.pth", STATE, wrap)
  assert_read(tmp_path / "it.pth", STATE)


@pytest.mark.parametrize(
  ("module", "name"),
  [
    ("os", "system"),
    ("posix", "system"),
    ("builtins", "eval"),
    ("builtins", "getattr"),
    ("neural_epitome.state_dicts.torch_pickle", "pickle"),
    ("torch._utils", "_rebuild_tensor_v2.__globals__"),
    ("torch.hub", "load"),
    ("numpy", "load"),
  ],
)
def test_a_pickle_that_names_anything_else_is_refused_and_not_run(
  tmp_path, module, name
):
  touched = tmp_path / "made"
  tree = {"weight": Call(Global(module, name), (f"touch {touched}",))}
  files.write(tmp_path / "it.pth", tree)
  with pytest.raises(UserError, match=f"asks for {module}.{name}, which .* not run"):
    reading.read(tmp_path / "it.pth")
  assert not touched.exists()


REBUILD = Global("torch._utils", "_rebuild_tensor_v2")
HOSTILE = {
  "offset beyond the storage": files.tensor(PLACE, 4, (1,), (1,)),
  "shape beyond the storage": files.tensor(PLACE, 0, (5,), (1,)),
  "stride beyond the storage": files.tensor(PLACE, 0, (2,), (4,)),
  "an immense shape": files.tensor(PLACE, 0, (2**40,), (0,)),
  "immense strides": files.tensor(PLACE, 0, (2, 2), (2**62, 2**62)),
  "an immense empty shape": files.tensor(PLACE, 0, (0, 2**62, 2**62), (1, 1, 1)),
  "a negative offset": files.tensor(PLACE, -1, (1,), (1,)),
  "negative strides": files.tensor(PLACE, 3, (2,), (-1,)),
  "fewer strides than axes": files.tensor(PLACE, 0, (2, 2), (1,)),
  "a shape of words": files.tensor(PLACE, 0, ("2",), (1,)),
  "no storage": files.tensor(None, 0, (1,), (1,)),
  "a storage of another size": files.tensor(
    files.storage("FloatStorage", "0", 5), 0, (1,), (1,)
  ),
  "a storage that is not there": files.tensor(
    files.storage("FloatStorage", "../data.pkl", 4), 0, (1,), (1,)
  ),
  "a storage of no known type": files.tensor(
    Persistent(("storage", "object", "0", "cpu", 4)), 0, (1,), (1,)
  ),
  "no storage at all": Persistent(("weights",)),
  "a state set on a function": Built(REBUILD, (None, {"__code__": 1})),
  "a state set on a type": Built(Global("torch", "FloatStorage"), {"x": 1}),
  "a state set on a tensor": Built(files.tensor(PLACE, 0, (1,), (1,)), {"shape": 1}),
  "an object that is made anew": Raw(files.opcodes(REBUILD) + b")" + pickle.NEWOBJ),
  "room for 2**32 objects": Raw(pickle.NONE + pickle.LONG_BINPUT + b"\xff" * 4),
  "an extension": Raw(pickle.EXT1 + b"\x01"),
  "no opcode": Raw(b"\xff"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_pickle_is_refused(tmp_path, what):
  tree = {"good": files.tensor(PLACE, 0, (4,), (1,)), "bad": HOSTILE[what]}
  files.write(tmp_path / "it.pth", tree, FOUR)
  with pytest.raises(UserError, match="no readable file"):
    reading.read(tmp_path / "it.pth")


def test_what_would_unpack_to_more_than_the_file_is_refused(tmp_path):
  tree = {str(i): files.tensor(PLACE, 0, (4,), (1,)) for i in range(2000)}
  place = files.storage("FloatStorage", "0", 10**6)
  zeros = {"0": bytes(4 * 10**6)}
  files.write(
    tmp_path / "it.pth",
    {"it": files.tensor(place, 0, (1,), (1,))},
    zeros,
    compression=zipfile.ZIP_DEFLATED,
  )
  with pytest.raises(UserError, match="compressed"):
    reading.read(tmp_path / "it.pth")
  place = files.storage("FloatStorage", "0", 225)
  many = Raw(
    b"".join(
      [
        pickle.EMPTY_DICT,
        files.opcodes(files.tensor(place, 0, (225,), (1,))),
        pickle.BINPUT + b"\x00" + pickle.POP + pickle.MARK,
        *(files.opcodes(name) + pickle.BINGET + b"\x00" for name in tree),
        pickle.SETITEMS,
      ]
    )
  )
  files.write(tmp_path / "it.pth", many, {"0": bytes(900)})
  with pytest.raises(UserError, match="more numbers than the file has bytes"):
    reading.read(tmp_path / "it.pth")


def test_a_dictionary_that_is_copied_again_and_again_is_refused(tmp_path):
  large = files.opcodes({str(i): i for i in range(10_000)}) + pickle.BINPUT + b"\x00"
  make = files.opcodes(Global("collections", "OrderedDict")) + pickle.BINPUT + b"\x01"
  copy = pickle.BINGET + b"\x01" + pickle.BINGET + b"\x00" + pickle.TUPLE1
  copies = pickle.EMPTY_LIST + pickle.MARK + (copy + pickle.REDUCE) * 1000
  files.write(tmp_path / "it.pth", Raw(large + make + copies + pickle.APPENDS))
  with pytest.raises(UserError, match="copied entries"):
    reading.read(tmp_path / "it.pth")


def test_a_dictionary_that_holds_itself_comes_to_an_end(tmp_path):
  own = pickle.EMPTY_DICT + pickle.BINPUT + b"\x00" + files.opcodes("model")
  own += pickle.BINGET + b"\x00" + pickle.SETITEM
  files.write(tmp_path / "it.pth", Raw(own))
  with pytest.raises(UserError, match="holds no state dict"):
    reading.read(tmp_path / "it.pth")


@pytest.mark.parametrize("suffix", [".pth", ".old.pth", ".safetensors"])
def test_a_file_that_is_cut_or_absent_is_refused(tmp_path, suffix):
  path = tmp_path / f"it{suffix}"
  with pytest.raises(UserError, match="does not exist"):
    reading.read(path)
  if suffix.endswith(".pth"):
    files.save(path, STATE, old=suffix == ".old.pth")
  else:
    save_file(STATE, path)
  whole = path.read_bytes()
  for end in range(0, len(whole), 37):
    path.write_bytes(whole[:end])
    with pytest.raises(UserError, match=r"it\."):
      reading.read(path)


@hypothesis.given(st.data())
def test_a_damaged_file_is_read_or_refused(tmp_path_factory, data):
  path = tmp_path_factory.mktemp("damaged") / "it.pth"
  files.save(path, STATE, old=data.draw(st.booleans()))
  content = bytearray(path.read_bytes())
  for _ in range(3):
    where = data.draw(st.integers(0, len(content) - 1))
    content[where] = data.draw(st.integers(0, 255))
  path.write_bytes(content)
  try:
    arrays = reading.read(path)
  except UserError:
    return
  assert all(isinstance(array, np.ndarray) for array in arrays.values())


def test_what_is_no_archive_or_no_state_dict_is_refused_with_the_way_out(tmp_path):
  path = tmp_path / "it.pth"
  path.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2) + bytes(100))
  with pytest.raises(UserError, match=r"no readable file of torch\.save"):
    reading.read(path)
  files.write(path, (1, 2))
  with pytest.raises(UserError, match="holds no state dict"):
    reading.read(path)


def test_our_compact_files_are_told_apart_by_their_metadata(tmp_path):
  path = tmp_path / "it.safetensors"
  for metadata, is_foreign in (
    (None, True),
    ({"format": "pt"}, True),
    ({"format": "neural_epitome"}, False),
  ):
    save_file(STATE, path, metadata)
    assert reading.is_state_dict(path) == is_foreign
  assert reading.is_state_dict(tmp_path / "it.pth")
  assert not reading.is_state_dict(tmp_path / "it.npz")
  np.savez(tmp_path / "it.npz", **STATE)
  assert reading.is_state_dict(tmp_path / "it.npz")
  files.save(tmp_path / "it.pth.tar", STATE, lambda tree: {"net": tree})
  assert reading.is_state_dict(tmp_path / "it.pth.tar")
  (tmp_path / "it.json").write_text("{}")
  assert not reading.is_state_dict(tmp_path / "it.json")
  assert not reading.is_state_dict(tmp_path)
