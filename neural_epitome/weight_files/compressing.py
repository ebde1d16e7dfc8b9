"""A file of trained weights in a budget; no architecture is needed."""

import os
import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from neural_epitome.compression import accuracy, choices
from neural_epitome.compression.compressed import Compressed
from neural_epitome.weight_files import comparing


def compress_file(
  path: str | os.PathLike,
  budget: str | None = None,
  *,
  max_drop: float | None = None,
  layout: str | None = None,
  keep: Sequence[str] = (),
  evaluate: Callable[[dict[str, np.ndarray]], float] | None = None,
  format: comparing.Format = "compact",
  moments: Mapping[str, np.ndarray] | None = None,
  rule: choices.Ways = "best",
  quiet: bool = False,
) -> Compressed:
  """The weights of any trained network in a budget.

      small = ne.compress_file("crepe.pth", "20x")
      small.save("crepe.safetensors")
      ne.expand_file("crepe.safetensors", "crepe_20x.pth")

  Args:
    path: of the file: what torch, Flax, Orbax or ONNX saved, .safetensors, .npz.
    budget: bytes of the file to be written ("100kB"), or how many times smaller than
      this one it is ("20x").
    max_drop: in place of a budget, by how much the score of `evaluate` may become less:
      the smallest file is found in which it does not, in 9 to 23 trials.
    layout: see `comparing.compare`.
    keep: see `comparing.compare`.
    evaluate: see `comparing.Comparison.sensitivities`; without it, the errors of all
      kernels count alike.
    format: see `comparing.compare`.
    moments: see `comparing.compare`; of an ONNX graph, `--examples` of the command line
      measures them.
    rule: see `ne.compress`, but for generators.
    quiet: see `comparing.compare`.

  Returns:
    The weights by their names in the file, kernels as `(*window, Cin, Cout)`.

  Raises:
    UserError: as `comparing.compare`, and if the budget cannot be met.
  """
  accuracy.check_aim(budget, max_drop, evaluate)
  comparison = comparing.compare(
    path,
    layout=layout,
    keep=keep,
    format=format,
    moments=moments,
    rule=rule,
    quiet=quiet,
  )
  weights = evaluate and comparison.sensitivities(evaluate, quiet)
  if budget is not None:
    return comparison.within(budget, weights or None, evaluate)
  assert evaluate is not None  # see `check_aim`
  assert max_drop is not None
  before = evaluate(dict(comparison.file.arrays))
  return comparison.dropping(
    max_drop, lambda made: before - evaluate(made), weights or None
  )


def default_output(
  path: str | os.PathLike, budget: str, ending: str = ".safetensors"
) -> pathlib.Path:
  """`crepe.pth` at "20x" becomes `crepe_20x.safetensors`, in this directory."""
  path = pathlib.Path(path)
  stem = path.name.split(".")[0] or path.resolve().name or "weights"
  return pathlib.Path(f"{stem}_{budget.strip().replace(' ', '')}{ending}")
