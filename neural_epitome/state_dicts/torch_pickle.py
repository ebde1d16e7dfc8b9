"""A pickle of tensors and dictionaries, read without running anything of it.

A pickle may name any function to call. The few names that tensors and dictionaries
need are known here, and stand for functions of this module. Calls of any other are
refused. Objects of unknown classes, as trainers put beside weights, are made as empty
ones of a class that does nothing; of modules, what they hold is kept.
"""

import pickle
import pickletools
import re
from collections.abc import Callable, Mapping, Sized
from typing import Any, BinaryIO, NamedTuple

from neural_epitome.state_dicts.torch_objects import VALUES, Object, UnknownClass

# NumPy has no bfloat16: the upper half of a float32.
BFLOAT16 = "bfloat16"
_DTYPES = {
  "torch.BFloat16Storage": BFLOAT16,
  "torch.BoolStorage": "?",
  "torch.ByteStorage": "u1",
  "torch.CharStorage": "i1",
  "torch.ComplexDoubleStorage": "c16",
  "torch.ComplexFloatStorage": "c8",
  "torch.DoubleStorage": "f8",
  "torch.FloatStorage": "f4",
  "torch.HalfStorage": "f2",
  "torch.IntStorage": "i4",
  "torch.LongStorage": "i8",
  "torch.ShortStorage": "i2",
}
# Of quantised numbers, and of types that NumPy has not: never read.
_OTHER_STORAGES = re.compile(r"torch\.(Q\w+Storage|storage\.UntypedStorage)")
# Constants: torch's types and its schemes of quantisation.
_CONSTANTS = re.compile(r"torch\.([a-z]+\d\w*|bool|per_\w+_affine\w*|strided)")
# Opcodes of a pickle, some forty a tensor; and classes that are not known.
_MOST, _MOST_CLASSES = 2**21, 1000


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


class Unread(str):
  """A type of numbers that are never read: quantised, or not of NumPy."""


class Quantised(NamedTuple):
  """A tensor of such numbers."""

  dtype: str
  shape: tuple[int, ...]


class Pickled(NamedTuple):
  """What a pickle says.

  Attributes:
    value: with a `Tensor` for every tensor.
    storages: by their keys.
    unknown: names of classes that it made objects of.
  """

  value: Any
  storages: Mapping[str, Storage]
  unknown: tuple[str, ...]


def unpickle(stream: BinaryIO) -> Pickled:
  """Reads the pickle that begins here, and no further.

  Raises:
    UserError: if it calls anything but tensors, dictionaries and plain values; the
      sentence wants the file's name before it.
    Exception: of many kinds, if it is damaged.
  """
  begin = stream.tell()
  for count, (code, argument, _) in enumerate(pickletools.genops(stream)):
    # Python makes room for as many objects as the highest number that one is put at,
    # and keeps a register of extensions beside `find_class`.
    is_far = "PUT" in code.name and int(argument or 0) > _MOST
    if "EXT" in code.name or is_far or count > _MOST:
      raise ValueError(f"{code.name} {argument!r:.80} after {count} others")
  stream.seek(begin)
  unpickler = _Unpickler(stream, encoding="utf-8")
  return Pickled(unpickler.load(), unpickler.storages, tuple(unpickler.unknown))


class _Dictionary(dict):
  """Stands for OrderedDict: what a pickle sets on one beside its items is dropped."""

  def __setstate__(self, state: Any) -> None:
    del state


def _quantised(storage: Any, offset: Any, shape: Any, *rest: Any) -> Quantised:
  del offset
  if not isinstance(storage, Storage) or not _are_counts(tuple(shape)):
    raise ValueError("a tensor without storage, or of negative shape")
  # A type that has no storage of its own is said last.
  return Quantised(
    str(rest[-1] if type(rest[-1]) is str else storage.dtype), tuple(shape)
  )


def _dictionary(*arguments: Any) -> "_Dictionary":
  """A defaultdict comes with what makes its defaults."""
  return _Dictionary(*(one for one in arguments if isinstance(one, dict | list)))


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
  "collections.defaultdict": _dictionary,
  "torch.Size": tuple,
  "torch._utils._rebuild_parameter": _parameter,
  "torch._utils._rebuild_parameter_with_state": _parameter,
  "torch._utils._rebuild_qtensor": _quantised,
  "torch._utils._rebuild_tensor_v2": _tensor,
  "torch._utils._rebuild_tensor_v3": _quantised,
}


class _Unpickler(pickle.Unpickler):
  def __init__(self, *arguments: Any, **options: Any):
    super().__init__(*arguments, **options)
    self.storages: dict[str, Storage] = {}
    self.unknown: dict[str, type] = {}
    self.copied = 0

  def find_class(self, module: str, name: str) -> Any:
    known = f"{module}.{name}"
    if known in _DTYPES:
      return _DTYPES[known]
    if _OTHER_STORAGES.fullmatch(known):
      return Unread(name.removesuffix("Storage").lower())
    if _CONSTANTS.fullmatch(known):
      return name
    if VALUES.fullmatch(known):
      return Object
    builder = _BUILDERS.get(known)
    if builder is None:
      if len(self.unknown) > _MOST_CLASSES:
        raise ValueError(f"more than {_MOST_CLASSES} classes")
      return self.unknown.setdefault(known, UnknownClass(known, (Object,), {}))
    # A pickle may set attributes on what it is given: on this function, no other.
    return lambda *arguments: self._built(builder, arguments)

  def _built(self, builder: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    # A few bytes ask for another copy of something large.
    self.copied += sum(len(one) for one in arguments if isinstance(one, Sized))
    if self.copied > _MOST:
      raise ValueError(f"more than {_MOST} copied entries")
    return builder(*arguments)

  def persistent_load(self, identifier: Any) -> Storage:
    # The old format has a sixth, for views of storages, which torch gave up in 2018.
    tag, dtype, key, _, size, *view = identifier
    is_type = dtype in _DTYPES.values() or isinstance(dtype, Unread)
    is_known = tag == "storage" and is_type and type(key) is str
    if not is_known or not _are_counts((size,)) or view not in ([], [None]):
      raise ValueError(f"no storage: {identifier!r:.80}")
    self.storages[key] = Storage(dtype, key, size)
    return self.storages[key]
