"""Which format a file of weights has, by its first bytes and never by its name."""

import pathlib
import zipfile

from neural_epitome.errors import UserError
from neural_epitome.state_dicts import flax_files, leaves

# What each kind is called in a message.
KINDS = {
  "torch": "file of torch.save",
  "safetensors": ".safetensors file",
  "npz": ".npz file",
  "msgpack": "Flax msgpack",
  "orbax": "Orbax checkpoint",
  "onnx": "ONNX file",
}
_KNOWN = ", ".join(KINDS.values())
# As files of weights are mostly called.
_ENDINGS = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".npz", ".msgpack", ".onnx")
# The first bytes of what is often tried; what makes a known format of it.
_OTHERS = (
  (b"\x89HDF", "is HDF5: save the arrays with np.savez."),
  (b"\x93NUMPY", "is one array without a name: np.savez(FILE, name=array)."),
  (b"GGUF", "is GGUF, whose weights are quantised: take the .safetensors file."),
  (b"version https://git-lfs", "stands for a file in Git LFS: git lfs pull."),
)


def kind(path: pathlib.Path) -> str:
  """The kind of a file or folder: a key of `KINDS`.

  Raises:
    UserError: if it is none of them; the sentence wants the file's name before it.
    OSError: if it cannot be read.
  """
  if path.is_dir():
    try:
      flax_files.orbax_folder(path)
    except UserError as error:
      raise UserError(f"{error}{_inside(path)}") from None
    return "orbax"
  with path.open("rb") as file:
    start = file.read(64)
  size = path.stat().st_size
  if not start:
    raise UserError("is empty.")
  for begin, what in _OTHERS:
    if start.startswith(begin):
      raise UserError(what)
  if start.startswith(b"PK"):
    return _zipped(path)
  if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size:
    return "safetensors"
  if start[0] == 0x80 and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
    return "torch"
  if 0x81 <= start[0] <= 0x8F or start[0] in (0xDE, 0xDF):
    return "msgpack"
  # The version of ONNX, and then a field of its model.
  if start[0] == 8 and start[1:2] < b"\x80" and start[2:3] in b"\x12\x1a\x22\x28\x32:B":
    return "onnx"
  raise UserError(f"is none of: {_KNOWN}.")


def _inside(folder: pathlib.Path) -> str:
  """Which file of a folder may be meant, as a sentence; a library saves several."""
  found = sorted(one.name for one in folder.iterdir() if one.suffix in _ENDINGS)
  if not found:
    return ""
  more = f" or {len(found) - 1} more" if len(found) > 1 else ""
  return f" Give one of the files in it: {leaves.shown(folder / found[0], 200)}{more}."


def _zipped(path: pathlib.Path) -> str:
  names = zipfile.ZipFile(path).namelist()
  if any(name.partition("/")[2] == "data.pkl" for name in names):
    return "torch"
  if any(name.endswith(".npy") for name in names):
    return "npz"
  raise UserError("is a zip archive with neither torch's data.pkl nor .npy files.")
