"""Constants and operators of an ONNX graph that compute a tensor from small ones.

All of them are standard, of opset 11 or older, and read constants alone, so a runtime
computes them once, when it loads the graph. `DequantizeLinear` is not among them: ONNX
Runtime keeps it and runs it at every call.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from neural_epitome.epitome import rounding

# Of the operators that are used here.
OPSET = 11
# Constants of so many bytes are looked for among those that are there already: shapes,
# and rings that several kernels read.
_SHARED = 2**16


class State(NamedTuple):
  """How much there is of a `Parts`, see there."""

  nodes: int
  tensors: int
  shared: Mapping[Any, str]


class Parts:
  """What is added to one graph; methods add to it and return names of tensors.

  Attributes:
    nodes: operators, in an order in which they can be run.
    tensors: initialisers.
  """

  def __init__(self, onnx: Any, prefix: str) -> None:
    """The package `onnx`, and how names begin that no other tensor of the model has."""
    self._onnx, self._prefix = onnx, prefix
    self.nodes: list[Any] = []
    self.tensors: list[Any] = []
    self._shared: dict[tuple[str, tuple[int, ...], bytes], str] = {}
    self._count = 0

  def state(self) -> State:
    """What `undo` goes back to."""
    return State(len(self.nodes), len(self.tensors), dict(self._shared))

  def undo(self, state: State) -> None:
    """Takes back all that was added since."""
    del self.nodes[state.nodes :], self.tensors[state.tensors :]
    self._shared = dict(state.shared)

  def nbytes(self, state: State) -> int:
    """Of all that was added since, in a file, up to a few for every part."""
    added = [*self.nodes[state.nodes :], *self.tensors[state.tensors :]]
    return sum(part.ByteSize() + 3 for part in added)

  def constant(self, array: np.ndarray) -> str:
    """An initialiser."""
    array = np.ascontiguousarray(array)
    key = (str(array.dtype), array.shape, array.tobytes())
    if array.nbytes > _SHARED or key not in self._shared:
      name = self._name()
      self.tensors.append(self._onnx.numpy_helper.from_array(array, name))
      if array.nbytes > _SHARED:
        return name
      self._shared[key] = name
    return self._shared[key]

  def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
    """An operator; the name of its only output."""
    name = self._name()
    self.nodes.append(
      self._onnx.helper.make_node(operator, inputs, [name], **attributes)
    )
    return name

  def name_last(self, name: str) -> None:
    """Gives the output of the last operator another name."""
    self.nodes[-1].output[0] = name

  def cast(self, name: str, dtype: str) -> str:
    """A tensor in another type, called as NumPy does."""
    kind = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return self.node("Cast", name, to=kind)

  def floats(self, array: np.ndarray) -> str:
    """Floating-point numbers, stored in their type, as float32."""
    name = self.constant(array)
    return name if array.dtype == np.float32 else self.cast(name, "float32")

  def reshaped(self, name: str, shape: Sequence[int]) -> str:
    """A tensor in another shape."""
    return self.node("Reshape", name, self.constant(np.asarray(shape, np.int64)))

  def transposed(self, name: str, order: Sequence[int]) -> str:
    """A tensor with its axes in this order."""
    if list(order) == sorted(order):
      return name
    return self.node("Transpose", name, perm=[int(axis) for axis in order])

  def cut(self, name: str, shape: Sequence[int]) -> str:
    """The first entries of a tensor along every axis."""
    zeros = self.constant(np.zeros(len(shape), np.int64))
    return self.node("Slice", name, zeros, self.constant(np.asarray(shape, np.int64)))

  def integers(self, values: np.ndarray, bits: int, is_signed: bool = False) -> str:
    """Integers of a few bits as float32, in their shape.

    Beyond whole bytes they are stored in planes of 4, 2 or 1 bits, several digits a
    byte, which are shifted apart.

    Args:
      values: in 0 .. 2**bits - 1; signed ones are those of `rounding.quantise`.
      bits: up to 16.
      is_signed: see `values`.
    """
    if bits == 8:
      dtype = np.int8 if is_signed else np.uint8
      return self.cast(self.constant(values.astype(dtype)), "float32")
    low = 1 << (bits - 1) if is_signed else 0
    digits = rounding.digits(values, bits) if is_signed else values
    digits, total, shift = digits.reshape(-1).astype(np.int64), "", 0
    while shift < bits:
      width = next(n for n in (8, 4, 2, 1) if n <= bits - shift)
      plane = self._plane((digits >> shift) & ((1 << width) - 1), width)
      plane = self.cast(plane, "float32")
      if shift:
        plane = self.node(
          "Mul", plane, self.constant(np.asarray(1 << shift, np.float32))
        )
      total = self.node("Add", total, plane) if total else plane
      shift += width
    if is_signed and bits == 1:  # 0 and 1 are a minus and a plus
      total = self.node("Mul", total, self.constant(np.asarray(2, np.float32)))
    if low:
      total = self.node("Sub", total, self.constant(np.asarray(low, np.float32)))
    return self.reshaped(total, values.shape) if values.ndim != 1 else total

  def _plane(self, digits: np.ndarray, width: int) -> str:
    """Unsigned digits of 8, 4, 2 or 1 bits: uint8, of one axis."""
    if width == 8:
      return self.constant(digits.astype(np.uint8))
    each = 8 // width
    rows = np.pad(digits, (0, -len(digits) % each)).reshape(-1, each)
    shifts = width * np.arange(each, dtype=np.uint8)
    packed = np.bitwise_or.reduce(rows << shifts, 1).astype(np.uint8)
    apart = self.node(
      "BitShift",
      self.constant(packed[:, None]),
      self.constant(shifts),
      direction="RIGHT",
    )
    base = self.constant(np.asarray(1 << width, np.uint8))
    flat = self.reshaped(self.node("Mod", apart, base), [-1])
    return flat if rows.size == digits.size else self.cut(flat, [len(digits)])

  def _name(self) -> str:
    self._count += 1
    return f"{self._prefix}{self._count}"


def bits_for(count: int) -> int:
  """That tell so many numbers apart; at least 1."""
  return max(1, math.ceil(math.log2(max(count, 1))))
