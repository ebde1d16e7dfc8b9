"""The kernels of a file of weights, compared in all ways to store them."""

import fnmatch
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from neural_epitome import codec
from neural_epitome.compression import accuracy, best, choices
from neural_epitome.compression.compressed import Compressed
from neural_epitome.compression.storage import COMPACT
from neural_epitome.errors import UserError
from neural_epitome.state_dicts import weights_file
from neural_epitome.state_dicts.weights_file import WeightsFile
from neural_epitome.weight_files import description, onnx_storage

# Formats whose bytes a budget may count.
Format = Literal["compact", "onnx"]


class Comparison(NamedTuple):
  """A file whose kernels were compared in all ways to store them.

  Attributes:
    file: as it was read.
    choosing: of its weights, kernels as `(*window, Cin, Cout)`.
  """

  file: WeightsFile
  choosing: best.Choosing

  def within(
    self,
    budget: str,
    sensitivity: Mapping[str, float] | None = None,
    evaluate: Callable[[dict[str, np.ndarray]], float] | None = None,
  ) -> Compressed:
    """The weights in a file of so many bytes, or so many times smaller ("10x").

    Args:
      budget: in words.
      sensitivity: see `sensitivities`.
      evaluate: the score that they were had of; where it says so, the errors of all
        kernels count more alike, see `accuracy.best_of`.

    Raises:
      UserError: if the budget is not understood or cannot be met.
    """

    def make(weights: Mapping[str, float] | None) -> Compressed:
      return self.choosing.times_smaller(budget, self.file.nbytes, weights)

    if evaluate is None or sensitivity is None:
      return make(sensitivity)
    score = evaluate
    return accuracy.best_of(
      make, dict(sensitivity), lambda small: score(self.weights(small))
    )

  def sensitivities(
    self, evaluate: Callable[[dict[str, np.ndarray]], float], quiet: bool = False
  ) -> dict[str, float]:
    """What every kernel's error costs, see `accuracy.sensitivities`.

    Args:
      evaluate: the score of weights by the names, and in the shapes, of the file;
        higher is better.
      quiet: shows no progress.
    """

    def of_tree(tree: Mapping[str, Any]) -> float:
      return evaluate(self._in_file(tree))

    return accuracy.sensitivities(self.choosing, of_tree, quiet)

  def weights(self, small: Compressed) -> dict[str, np.ndarray]:
    """What was made of them, by the names, and in the shapes, of the file."""
    return self._in_file(small.expand(small.compact))

  def dropping(
    self,
    max_drop: float,
    drop: Callable[[dict[str, np.ndarray]], float],
    sensitivity: Mapping[str, float] | None = None,
  ) -> Compressed:
    """The smallest file that drops no more than `max_drop`, see `accuracy.smallest`.

    Args:
      max_drop: in the unit of `drop`.
      drop: what is lost with weights by the names, and in the shapes, of the file.
      sensitivity: see `sensitivities`.

    Raises:
      UserError: if nothing stays within the bound.
    """
    return accuracy.smallest(
      self.choosing.within,
      dict(sensitivity) if sensitivity else None,
      lambda small: drop(self.weights(small)),
      max_drop,
      self.file.nbytes,
    )

  def _in_file(self, tree: Mapping[str, Any]) -> dict[str, np.ndarray]:
    made = {name: self._as_in_file(name, array) for name, array in tree.items()}
    return made | {name: made[first] for name, first in self.file.ties.items()}

  def _as_in_file(self, name: str, array: Any) -> np.ndarray:
    if name not in self.file.layouts:
      return np.asarray(array)
    shape = self.file.arrays[name].shape
    return self.file.layouts[name].from_ours(np.asarray(array), shape)


def compare(
  path: str | os.PathLike,
  *,
  layout: str | None = None,
  keep: Sequence[str] = (),
  format: Format = "compact",
  moments: Mapping[str, np.ndarray] | None = None,
  rule: choices.Ways = "best",
  quiet: bool = False,
) -> Comparison:
  """Reads a file and compares all ways to store its kernels, which takes its time.

  Args:
    path: of the file, see `weights_file.read`.
    layout: `torch` or `flax`, of all kernels; found out by default.
    keep: shell patterns of the kernels that stay as they are.
    format: of the file that budgets are of: the compact one, or the small ONNX file
      that `expand_file` writes of an ONNX graph.
    moments: second moments of what kernels read, by the names of the file; see
      `ne.compress`.
    rule: see `ne.compress`.
    quiet: shows no progress.

  Raises:
    UserError: if the file cannot be read or has no kernel, or a pattern matches none.
  """
  choices.check(rule)
  file = weights_file.read(path, layout)
  if clashes := [name for name in file.arrays if "/offsets." in name]:
    raise UserError(f"{path}: {clashes[0]!r} is a name that compact files use.")
  for name, array in file.arrays.items():
    if array.dtype.kind in "iu" and array.size and np.abs(array).max() >= 2**31:
      raise UserError(f"{path}: {name!r} has integers of more than 32 bits.")
  if not file.layouts:
    raise UserError(f"{path} has no kernel to compress, of {len(file.arrays)} arrays.")
  storage, nbytes = COMPACT, None
  if format == "onnx":
    storage, nbytes = onnx_storage.STORAGE, onnx_storage.sizes(path, file)
  elif format != "compact":
    raise UserError(f"format={format!r} must be 'compact' or 'onnx'.")
  tree: dict[str, Any] = {
    name: _in_our_form(file, name, array)
    for name, array in file.arrays.items()
    if name not in file.ties
  }
  choosing = best.prepare(
    tree,
    only=[_literally(name) for name in file.layouts if name in tree],
    keep=_kept(path, file, keep),
    beside=description.of(file),
    quiet=quiet,
    storage=storage,
    nbytes=nbytes,
    moments=moments,
    ways=rule,
  )
  return Comparison(file, choosing)


def _in_our_form(file: WeightsFile, name: str, array: np.ndarray) -> np.ndarray:
  if name not in file.layouts:
    return array
  return np.ascontiguousarray(file.layouts[name].to_ours(array))


def _kept(path: str | os.PathLike, file: WeightsFile, keep: Sequence[str]) -> list[str]:
  """Patterns of the names that are stored, each of what `keep` names."""
  kept = []
  for pattern in keep:
    names = fnmatch.filter(file.layouts, pattern)
    if not names:
      hint = codec.nearest(pattern, file.layouts)
      raise UserError(f"keep={pattern!r} matches no kernel of {path}.{hint}")
    kept += [_literally(file.ties.get(name, name)) for name in names]
  return kept


def _literally(name: str) -> str:
  """A shell pattern that matches the name alone."""
  return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
