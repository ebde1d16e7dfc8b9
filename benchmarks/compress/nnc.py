"""NNC (ISO/IEC 15938-17) by the package `nncodec`, in an environment of its own.

  python -m venv nnc && nnc/bin/pip install torch nncodec

It needs torch, which this project does not. So another Python runs this file as a
script on arrays in an .npz: it codes them, decodes them and writes what it read back.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

_MINUTES = 20
# From the finest to the coarsest that is tried.
_QPS = (-60, 20)
# Four whole numbers of `qp` double a step.
_QUARTER = 8


def code(
  python: str, arrays: Mapping[str, np.ndarray], qp: int
) -> tuple[dict[str, np.ndarray], int]:
  """Arrays coded and decoded.

  Args:
    python: an interpreter that has `nncodec`.
    arrays: float32 and integers, by name, in the layout of torch.
    qp: its quantisation parameter, of kernels; larger is coarser.

  Returns:
    What was read back, and the bytes of the bit stream.

  Raises:
    RuntimeError: with what the other interpreter said, if it failed.
  """
  return _elsewhere(python, arrays, "qp", qp)


def code_within(
  python: str,
  arrays: Mapping[str, np.ndarray],
  budget: int,
  is_small_finer: bool = False,
) -> tuple[dict[str, np.ndarray], int]:
  """Arrays coded as finely as so many bytes allow, and decoded.

  That is at one `qp`, and one finer for some of the kernels: steps of two whole numbers
  lie a fifth apart.

  Args:
    python: as of `code`.
    arrays: as of `code`.
    budget: bytes of the bit stream.
    is_small_finer: whether kernels of less than a twentieth of the weights have a
      quarter of the others' step.

  Returns:
    As of `code`.

  Raises:
    RuntimeError: as of `code`, and if no stream is so small.
  """
  aim = "budget, small finer" if is_small_finer else "budget"
  return _elsewhere(python, arrays, aim, budget)


def _elsewhere(
  python: str, arrays: Mapping[str, np.ndarray], aim: str, number: int
) -> tuple[dict[str, np.ndarray], int]:
  with tempfile.TemporaryDirectory() as folder:
    given, back = Path(folder) / "given.npz", Path(folder) / "back.npz"
    np.savez(given, **arrays)  # pyright: ignore[reportArgumentType]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
      [python, __file__, given, aim, str(number), back],
      capture_output=True,
      text=True,
      env=environment,
      cwd=folder,
      timeout=60 * _MINUTES,
    )
    if done.returncode:
      raise RuntimeError(f"nncodec at {aim} {number}: {done.stderr[-500:]}")
    with np.load(back) as file:
      decoded = {name: file[name] for name in file.files}
  nbytes = int(decoded.pop("/bytes"))
  return decoded, nbytes


def _run(given: str, aim: str, number: str, back: str) -> None:
  from nncodec import nn  # pyright: ignore[reportMissingImports]

  with np.load(given) as file:
    arrays = {name: file[name] for name in file.files}
  # It takes no others, and no array without axes.
  arrays = {
    name: np.atleast_1d(a).astype(np.float32 if a.dtype.kind == "f" else np.int32)
    for name, a in arrays.items()
  }

  whole = sum(array.size for array in arrays.values())
  small = [
    name
    for name, array in arrays.items()
    if "small" in aim and array.ndim > 1 and array.size < whole / 20
  ]

  def encode(qp: int, finer: tuple[str, ...] = ()) -> bytearray:
    steps = dict.fromkeys(small, _QUARTER)
    each = {n: np.int32(qp - steps.get(n, 0) - (n in finer)) for n in (*small, *finer)}
    return nn.encode(
      arrays, {"qp": qp, "qp_per_tensor": each or None, "verbose": False}
    )

  if aim == "qp":
    stream = encode(int(number))
  else:
    stream = _finest(encode, arrays, int(number))
  decoded = nn.decode(stream) | {"/bytes": np.array(len(stream))}
  np.savez(back, **decoded)


def _finest(
  encode: Callable[..., bytearray], arrays: Mapping[str, np.ndarray], budget: int
) -> bytearray:
  low, high, stream = *_QPS, None
  while low < high:
    middle = (low + high) // 2
    tried = encode(middle)
    if len(tried) <= budget:
      high, stream = middle, tried
    else:
      low = middle + 1
  if stream is None:
    raise ValueError(f"no stream of {budget} bytes")
  finer: tuple[str, ...] = ()
  kernels = [name for name, array in arrays.items() if array.ndim > 1]
  for name in sorted(kernels, key=lambda name: arrays[name].size):
    tried = encode(high, (*finer, name))
    if len(tried) <= budget:
      finer, stream = (*finer, name), tried
  return stream


if __name__ == "__main__":
  _run(*sys.argv[1:])
