"""How the axes of a foreign kernel go to ours: `(*window, inputs, outputs)`.

Which layout a kernel has follows from the name of its array (`kernel` is Flax's and
Keras's, `weight` is torch's), from the length of the bias beside it, and where neither
says it from the format of the file. In an ONNX file the operator that reads an array
says it: see `onnx_file`.
"""

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from neural_epitome.errors import UserError
from neural_epitome.state_dicts.leaves import Leaf

FAMILIES = ("torch", "flax")
_DENSE, _TRANSPOSED_DENSE = "torch dense", "torch transposed dense"
_FLAX_LEAVES = re.compile(r"(\w+_)?(kernel|embeddings?)(:0)?|w")
_EMBEDDING = re.compile(
  r"(^|_)emb|embed|^wte$|^wpe$|(^|_)(pos|token|table)(_|$)", re.IGNORECASE
)
_TRANSPOSED = re.compile(r"transpose|deconv|upconv|(^|\W)tconv", re.IGNORECASE)
# Arrays of several axes with these names are no kernels.
_SMALL = re.compile(r"b|bias(_\w+)?|beta|gamma|scale|mean|var|running_\w+")
# Formats that one library writes.
_FAMILY_OF_KIND = {"torch": "torch", "msgpack": "flax", "orbax": "flax"}


@dataclasses.dataclass(frozen=True)
class Layout:
  """Which axes of an array in a file are its window, its inputs and its outputs.

  Several axes of inputs or of outputs become one here. Without an axis of inputs there
  is one input. In grouped convolutions the inputs are those of one group, as they are
  in the file.

  Attributes:
    name: for people: `torch conv`, `flax dense`, `onnx Gemm`.
    window: axes of the window; leading axes of what is no convolution.
    inputs: axes of the inputs.
    outputs: axes of the outputs.
  """

  name: str
  window: tuple[int, ...]
  inputs: tuple[int, ...]
  outputs: tuple[int, ...]

  @property
  def order(self) -> tuple[int, ...]:
    """The file's axes in our order."""
    return self.window + self.inputs + self.outputs

  def shape(self, shape: Sequence[int]) -> tuple[int, ...]:
    """The shape here of an array of this shape in the file."""
    window, inputs, outputs = (
      tuple(shape[axis] for axis in axes)
      for axes in (self.window, self.inputs, self.outputs)
    )
    return (*window, math.prod(inputs), math.prod(outputs))

  def to_ours(self, array: np.ndarray) -> np.ndarray:
    """An array of the file as `(*window, inputs, outputs)`."""
    return array.transpose(self.order).reshape(self.shape(array.shape))

  def from_ours(self, array: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The inverse of `to_ours` for an array of this shape in the file."""
    apart = array.reshape([shape[axis] for axis in self.order])
    return apart.transpose(np.argsort(self.order))


def inputs_first(name: str, axes: int) -> Layout:
  """`(*window, inputs, outputs)`, as it is here."""
  return Layout(name, tuple(range(axes - 2)), (axes - 2,), (axes - 1,))


def outputs_first(name: str, axes: int) -> Layout:
  """`(outputs, inputs, *window)`."""
  return Layout(name, tuple(range(2, axes)), (1,), (0,))


def transposed(name: str, axes: int) -> Layout:
  """`(inputs, outputs, *window)`."""
  return Layout(name, tuple(range(2, axes)), (0,), (1,))


def is_kernel(name: str, leaf: Leaf) -> bool:
  """Whether an array is worth compressing: floating, more than a row of numbers."""
  is_small = _SMALL.fullmatch(_parts(name)[-1])
  return leaf.is_floating and sum(n > 1 for n in leaf.shape) >= 2 and not is_small


def find(
  kind: str, leaves: Mapping[str, Leaf], family: str | None = None
) -> dict[str, Layout]:
  """The layouts of all kernels of a file.

  Args:
    kind: of the file, as in `WeightsFile`.
    leaves: its arrays by name.
    family: `torch` or `flax`, of all of them; None for what each name says.

  Raises:
    UserError: for another family.
  """
  if family is not None and family not in FAMILIES:
    raise UserError(f"layout={family!r} must be one of {', '.join(FAMILIES)}.")
  kernels = [name for name, leaf in leaves.items() if is_kernel(name, leaf)]
  said = Counter(filter(None, map(_family_of_name, kernels)))
  usual = said.most_common(1)[0][0] if said else "torch"
  usual = _FAMILY_OF_KIND.get(kind, usual)
  layouts, square = {}, []
  for name in kernels:
    shape, bias = leaves[name].shape, _bias(name, leaves)
    if bias == shape:
      continue  # a normalisation over several axes
    of_name = family or _family_of_name(name) or usual
    layouts[name] = (_flax if of_name == "flax" else _torch)(name, shape, bias)
    if bias and layouts[name].name == _DENSE and shape[0] == shape[1]:
      square.append(name)
  return layouts | dict.fromkeys(square, _of_others(layouts, leaves, square))


def _of_others(
  layouts: Mapping[str, Layout], leaves: Mapping[str, Leaf], square: Sequence[str]
) -> Layout:
  """Of dense kernels whose bias says nothing: as most that have a bias which does.

  GPT-2's are (inputs, outputs), all of them, and some of them square.
  """
  said = Counter(
    layout.name
    for name, layout in layouts.items()
    if name not in square and _bias(name, leaves)
  )
  if said[_TRANSPOSED_DENSE] > said[_DENSE]:
    return transposed(_TRANSPOSED_DENSE, 2)
  return outputs_first(_DENSE, 2)


def _parts(name: str) -> list[str]:
  return re.split(r"[./]", name)


def _family_of_name(name: str) -> str | None:
  last = _parts(name)[-1]
  if _FLAX_LEAVES.fullmatch(last):
    return "flax"
  return "torch" if "weight" in last else None


def _bias(name: str, leaves: Mapping[str, Leaf]) -> tuple[int, ...]:
  """The shape of the bias beside a kernel; empty if there is none."""
  last = _parts(name)[-1]
  stem = name[: len(name) - len(last)]
  biases = (leaves.get(stem + bias) for bias in ("bias", "b", "bias:0"))
  return next((leaf.shape for leaf in biases if leaf), ())


def _is_embedding(name: str, shape: Sequence[int], bias: Sequence[int]) -> bool:
  """A table of rows: by the name of its layer, or its own where that says nothing."""
  *layers, last = _parts(name)
  own = last if "weight" not in last or not layers else layers[-1]
  is_table = len(shape) == 2 or own == last  # patch_embed.weight is a convolution's
  return not bias and is_table and bool(_EMBEDDING.search(own))


def _flax(name: str, shape: Sequence[int], bias: Sequence[int]) -> Layout:
  axes = len(shape)
  if _is_embedding(name, shape, bias):
    return inputs_first("embedding", axes)
  # Attention's: (features, heads, depth of a head).
  if len(bias) > 1 and tuple(shape[-len(bias) :]) == tuple(bias):
    first = axes - len(bias)
    before = tuple(range(first))
    return Layout("flax dense", (), before, tuple(range(first, axes)))
  return inputs_first("flax dense" if axes == 2 else "flax conv", axes)


def _torch(name: str, shape: Sequence[int], bias: Sequence[int]) -> Layout:
  axes = len(shape)
  if _is_embedding(name, shape, bias):
    return inputs_first("embedding", axes)
  if re.match(r"weight_[ih]h", _parts(name)[-1]):
    return outputs_first("recurrent", axes)
  what = "dense" if axes == 2 else "conv"
  # The bias has as many numbers as there are outputs.
  could_be = [axis for axis in (0, 1) if bias in ((), (shape[axis],))]
  if could_be == [1] or (could_be != [0] and axes > 2 and _TRANSPOSED.search(name)):
    return transposed(f"torch transposed {what}", axes)
  return outputs_first(f"torch {what}", axes)
