"""A pickle of tensors and dictionaries, read without running anything of it.

A pickle may name any function to call. The few names that tensors and dictionaries
need are known here, and stand for functions of this module; any other is refused.
"""

import pickle
import pickletools
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, NamedTuple

from neural_epitome.errors import UserError

# NumPy has no bfloat16: the upper half of a float32.
BFLOAT16 = "bfloat16"
_DTYPES = {
  "torch.BFloat16Storage": BFLOAT16,
  "torch.BoolStorage": "?",
  "torch.ByteStorage": "u1",
  "torch.CharStorage": "i1",
  "torch.DoubleStorage": "f8",
  "torch.FloatStorage": "f4",
  "torch.HalfStorage": "f2",
  "torch.IntStorage": "i4",
  "torch.LongStorage": "i8",
  "torch.ShortStorage": "i2",
}


class Storage(NamedTuple):
  """Numbers in a row: their type, the file's key and how many they are."""

  dtype: str
  key: str
  size: int


class Tensor(NamedTuple):
  """A view of a storage; offset and strides count numbers."""

  storage: Storage
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]


def unpickle(stream: BinaryIO) -> tuple[Any, Mapping[str, Storage]]:
  """Reads the pickle that begins here, and no further.

  Returns:
    What it says, with a `Tensor` for every tensor, and every storage by its key.

  Raises:
    UserError: if it names anything but tensors and dictionaries; the sentence wants
      the file's name before it.
    Exception: of many kinds, if it is damaged.
  """
  begin = stream.tell()
  codes = [(code.name, argument) for code, argument, _ in pickletools.genops(stream)]
  size = stream.tell() - begin
  for name, argument in codes:
    # Python makes room for as many objects as the highest number that one is put at,
    # and keeps a register of extensions beside `find_class`.
    if "EXT" in name or ("PUT" in name and int(argument or 0) > size):
      raise ValueError(f"{name} {argument}")
  stream.seek(begin)
  unpickler = _Unpickler(stream, encoding="utf-8")
  return unpickler.load(), unpickler.storages


class _Dictionary(dict):
  """Stands for OrderedDict: what a pickle sets on one beside its items is dropped."""

  def __setstate__(self, state: Any) -> None:
    del state


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> Tensor:
  del rest  # whether it is trained, and its hooks
  counts = (offset, *shape, *strides)
  if not isinstance(storage, Storage) or not _are_counts(counts):
    raise ValueError("a tensor without storage, or of negative shape or strides")
  return Tensor(storage, offset, tuple(shape), tuple(strides))


def _parameter(tensor: Any, *rest: Any) -> Any:
  del rest
  return tensor


def _are_counts(values: tuple[Any, ...]) -> bool:
  return all(type(value) is int and value >= 0 for value in values)


_BUILDERS: Mapping[str, Callable[..., Any]] = {
  "collections.OrderedDict": _Dictionary,
  "torch._utils._rebuild_parameter": _parameter,
  "torch._utils._rebuild_tensor_v2": _tensor,
}


class _Unpickler(pickle.Unpickler):
  def __init__(self, *arguments: Any, **options: Any):
    super().__init__(*arguments, **options)
    self.storages: dict[str, Storage] = {}

  def find_class(self, module: str, name: str) -> Any:
    known = f"{module}.{name}"
    if known in _DTYPES:
      return _DTYPES[known]
    if known not in _BUILDERS:
      raise UserError(
        f"asks for {known}, which is neither tensor nor dictionary, and was not run. "
        "Save the state dict alone: torch.save(model.state_dict(), FILE)."
      )
    # A pickle may set attributes on what it is given: on this function, no other.
    return lambda *arguments: _BUILDERS[known](*arguments)

  def persistent_load(self, identifier: Any) -> Storage:
    # The old format has a sixth, for views of storages, which torch gave up in 2018.
    tag, dtype, key, _, size, *view = identifier
    is_known = tag == "storage" and dtype in _DTYPES.values() and type(key) is str
    if not is_known or not _are_counts((size,)) or view not in ([], [None]):
      raise ValueError(f"no storage: {identifier!r:.80}")
    self.storages[key] = Storage(dtype, key, size)
    return self.storages[key]
