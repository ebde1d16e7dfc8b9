"""Any file of trained weights as arrays by name, with how their axes go to ours."""

import dataclasses
import os
import pathlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from neural_epitome.errors import UserError
from neural_epitome.state_dicts import (
  array_files,
  checks,
  flax_files,
  layouts,
  leaves,
  onnx_file,
  recognition,
  ties,
  torch_file,
  wrappers,
)
from neural_epitome.state_dicts.layouts import Layout


@dataclasses.dataclass(frozen=True)
class Form:
  """What a file of the same kind needs beside the arrays; plain values for JSON.

  Attributes:
    kind: `torch`, `safetensors`, `npz`, `msgpack`, `orbax` or `onnx`.
    dtypes: of every array in the file, as NumPy names them, and `bfloat16`.
    paths: where every array lies in the file: keys of dictionaries, its full name last.
  """

  kind: str
  dtypes: Mapping[str, str]
  paths: Mapping[str, tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class WeightsFile:
  """The weights of a file.

  Attributes:
    form: what it takes to write them back as they were.
    arrays: by name, without what all names begin with, in the file's shapes: float32
      for every floating type, integers and truth values as they are.
    layouts: of every kernel, that is what is worth compressing.
    nbytes: of the file, or of all files in the folder.
    note: one line, which of the file's arrays these are; empty if they are all.
    ties: the names whose array another name has as well, with that name; see `ties`.
  """

  form: Form
  arrays: Mapping[str, np.ndarray]
  layouts: Mapping[str, Layout]
  nbytes: int
  note: str = ""
  ties: Mapping[str, str] = dataclasses.field(default_factory=dict)

  @property
  def kind(self) -> str:
    """The format of the file, found by its content."""
    return self.form.kind

  @property
  def dtypes(self) -> Mapping[str, str]:
    """The type that every array has in the file."""
    return self.form.dtypes


def read(path: str | os.PathLike, layout: str | None = None) -> WeightsFile:
  """Reads trained weights: of torch, Flax or ONNX, .safetensors, .npz, Orbax.

  The format is found by the content, and nothing of it is run. Of a checkpoint that
  also holds an optimiser's state or averaged copies, the weights are taken, averaged
  ones first.

  Args:
    path: a file, or the folder of an Orbax checkpoint.
    layout: `torch` or `flax`, of all kernels; None for what names and operators say.

  Raises:
    UserError: if it is absent, damaged, of no known format, a compact file of ours or
      asks to run code; naming arrays that are quantised or not finite.
  """
  file = read_unchecked(path, layout)
  try:
    checks.check_values(file.arrays)
  except UserError as error:
    raise UserError(f"{path}: {error}") from None
  return file


def read_unchecked(path: str | os.PathLike, layout: str | None = None) -> WeightsFile:
  """As `read`, whatever the numbers are."""
  path, what = pathlib.Path(path), "file of weights"
  try:
    kind = recognition.kind(path)
    what = recognition.KINDS[kind]
    with warnings.catch_warnings():
      # Of a file that is read after all, there is nothing to warn of.
      warnings.simplefilter("ignore")
      return _read(path, kind, layout)
  except UserError as error:
    raise UserError(f"{path} {error}") from None
  except FileNotFoundError:
    raise UserError(f"{path} does not exist.") from None
  except Exception as error:  # of whatever type: the file is not to be trusted
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    raise UserError(
      f"{path} is no readable {what} ({leaves.shown(reason, 200)})."
    ) from None


def _read(path: pathlib.Path, kind: str, layout: str | None) -> WeightsFile:
  nbytes = flax_files.size(path)
  tree, of_operators = _READERS[kind](path)
  is_flat = kind == "torch" or (
    isinstance(tree, Mapping)
    and all(isinstance(value, leaves.Leaf) for value in tree.values())
  )
  chosen = wrappers.choose(tree, "." if is_flat else None)
  checks.check_types(chosen.leaves)
  kernels: Mapping[str, Layout | None] = layouts.find(kind, chosen.leaves, layout)
  if layout is None:
    full = {name: chosen.paths[name][-1] for name in kernels}
    kernels = {name: of_operators.get(full[name], one) for name, one in kernels.items()}
  if kind == "torch" and sum(one.size for one in chosen.leaves.values()) > nbytes:
    raise ValueError("its tensors have more numbers than the file has bytes")
  dtypes = {name: leaf.dtype for name, leaf in chosen.leaves.items()}
  arrays = {name: leaf.load() for name, leaf in chosen.leaves.items()}
  known = {name: one for name, one in kernels.items() if one}
  return WeightsFile(
    Form(kind, dtypes, chosen.paths),
    arrays,
    known,
    nbytes,
    f"{path.name}: takes {chosen.note}" if chosen.note else "",
    ties.find(kind, chosen.leaves, arrays, known),
  )


_Reader = Callable[[pathlib.Path], tuple[Any, Mapping[str, Layout | None]]]
_READERS: Mapping[str, _Reader] = {
  "torch": lambda path: (torch_file.read(path), {}),
  "safetensors": lambda path: (array_files.read_safetensors(path), {}),
  "npz": lambda path: (array_files.read_npz(path), {}),
  "msgpack": lambda path: (flax_files.read_msgpack(path), {}),
  "orbax": lambda path: (flax_files.read_orbax(flax_files.orbax_folder(path)), {}),
  "onnx": onnx_file.read,
}
