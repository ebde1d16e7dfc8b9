"""Other codecs and quantisers on the teacher's kernels, as they are or to be trained.

What is no kernel is stored as this package stores it, in float16; statistics of batch
norms are folded away in what ships, and no arm counts them.
"""

import math
import os
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from benchmarks.compress import code_books, nnc
from benchmarks.compress import rivals as methods
from benchmarks.quality.arms.base import Arm, Expanded, Start, Teacher, flat, nested
from neural_epitome.compression import kernel_error
from neural_epitome.epitome import rounding
from neural_epitome.errors import UserError

NNC_PYTHON = "NNC_PYTHON"
# Share of the weights below which a kernel of several taps has no code book.
_SMALL = 0.01


def of_all(method: Callable[[methods.Kernels, float], methods.Coded]) -> Arm:
  """An arm of a method that divides bytes among kernels itself."""

  def arm(teacher: Teacher, size: int, seed: int) -> Start:
    del seed
    kernels, rest = _apart(teacher)
    coded = method(kernels, teacher.budget(size) - rest.nbytes)
    return _as_it_is(teacher, coded.kernels | rest.kernels, coded.nbytes + rest.nbytes)

  return arm


def palette(teacher: Teacher, size: int, seed: int) -> Start:
  """k-means of single weights, as many levels as the size allows.

  Raises:
    UserError: if it allows no two.
  """
  del seed
  kernels, rest = _apart(teacher)
  budget = teacher.budget(size) - rest.nbytes
  for levels in range(64, 1, -1):
    if sum(k.size for k in kernels.values()) * np.log2(levels) / 8 > budget:
      continue
    coded = methods.each(lambda k, n=levels: methods.palette(k, n), kernels)
    if coded.nbytes <= budget:
      every = coded.kernels | rest.kernels
      return _as_it_is(teacher, every, coded.nbytes + rest.nbytes)
  raise UserError(f"two levels take more than {teacher.budget(size):,} bytes.")


def product_quantisation(is_weighted: bool) -> Arm:
  """Code books of the kernels of several taps; words, scales and the rest are trained.

  As in the papers the first kernel is kept finer: it is int8, and the classifier is in
  the integers, of 8, 6 or 4 bits, with which the sum of relative errors is least.
  """

  def arm(teacher: Teacher, size: int, seed: int) -> Start:
    del seed
    kernels, rest = _apart(teacher)
    whole = sum(kernel.size for kernel in kernels.values())
    coded = {
      name: kernel
      for name, kernel in kernels.items()
      if math.prod(kernel.shape[:-2]) > 1 and kernel.size > _SMALL * whole
    }
    apart = {name: kernel for name, kernel in kernels.items() if name not in coded}
    tried = [
      _with_books(coded, apart, bits, teacher.budget(size) - rest.nbytes, is_weighted)
      for bits in (8, 6, 4)
    ]
    _, bits_of, books = min((one for one in tried if one), key=lambda one: one[0])
    stored = {
      "words": {str(i): jnp.asarray(book.words) for i, book in enumerate(books)},
      "scales": {
        name: {"scale": jnp.asarray(scale)}
        for book in books
        for name, scale in book.scales.items()
      },
      "rest": nested({n: jnp.asarray(a) for n, a in (rest.kernels | apart).items()}),
    }
    halves = dict.fromkeys(rest.kernels, 16)

    def expand(stored: Any) -> Any:
      made = rounding.rounded(flat(stored["rest"]), halves | bits_of)
      for i, book in enumerate(books):
        scales = {name: stored["scales"][name]["scale"] for name in book.scales}
        scales = rounding.rounded(scales, dict.fromkeys(scales, 16))
        made |= book.kernels(code_books.rounded(stored["words"][str(i)]), scales)
      return nested(made)

    nbytes = rest.nbytes + sum(book.nbytes for book in books)
    nbytes += sum(_integer_bytes(apart[name], bits) for name, bits in bits_of.items())
    variables = {**teacher.variables, "params": stored}
    return Start(Expanded(teacher.model, expand), variables, int(np.ceil(nbytes)))

  return arm


def _with_books(
  coded: methods.Kernels,
  apart: methods.Kernels,
  bits: int,
  budget: float,
  is_weighted: bool,
) -> tuple[float, dict[str, int], list[code_books.CodeBook]] | None:
  """The error, the bits of kernels without books, and the books; None if none fits."""
  bits_of = {name: bits if kernel.ndim == 2 else 8 for name, kernel in apart.items()}
  left = budget - sum(_integer_bytes(apart[name], b) for name, b in bits_of.items())
  try:
    books = code_books.within(coded, left, is_weighted)
  except ValueError:
    return None
  error = sum(code_books.error_of(coded, book) for book in books)
  for name, kernel in apart.items():
    made = rounding.straight_through(jnp.asarray(kernel), bits_of[name])
    error += kernel_error.error(kernel, np.asarray(made))
  return error, bits_of, books


def _integer_bytes(kernel: np.ndarray, bits: int) -> int:
  return math.ceil(kernel.size * bits / 8) + 4 * kernel.shape[-1]


def nnc_codec(is_small_finer: bool) -> Arm:
  """NNC at the finest quantisation whose bit stream the size allows.

  One step for all kernels, as the codec has it, or a quarter of it for those of less
  than a twentieth of the weights. The arm raises UserError if the environment does not
  say where `nncodec` is, or nothing fits.
  """

  def arm(teacher: Teacher, size: int, seed: int) -> Start:
    del seed
    return _nnc(teacher, size, is_small_finer)

  return arm


def _nnc(teacher: Teacher, size: int, is_small_finer: bool) -> Start:
  python = os.environ.get(NNC_PYTHON)
  if not python:
    raise UserError(f"set {NNC_PYTHON} to an interpreter that has nncodec.")
  arrays = {n: _torch_order(a) for n, a in flat(teacher.variables["params"]).items()}
  try:
    read, nbytes = nnc.code_within(python, arrays, teacher.budget(size), is_small_finer)
  except RuntimeError as error:
    raise UserError(f"{error}") from None
  return _as_it_is(teacher, {n: _our_order(a) for n, a in read.items()}, nbytes)


def _apart(teacher: Teacher) -> tuple[dict[str, np.ndarray], methods.Coded]:
  """The kernels, and the rest as it is stored."""
  arrays = {n: np.asarray(a) for n, a in flat(teacher.variables["params"]).items()}
  kernels = {use.path: arrays.pop(use.path) for use in teacher.inventory.kernels}
  return kernels, methods.half_rest(arrays)


def _as_it_is(teacher: Teacher, arrays: dict[str, np.ndarray], nbytes: float) -> Start:
  """The dense network with other numbers."""
  params = nested({name: jnp.asarray(array) for name, array in arrays.items()})
  variables = {**teacher.variables, "params": params}
  return Start(teacher.model, variables, int(np.ceil(nbytes)))


def _torch_order(array: np.ndarray) -> np.ndarray:
  """Outputs, inputs, taps."""
  array = np.asarray(array)
  return (
    np.ascontiguousarray(np.moveaxis(array, (-1, -2), (0, 1)))
    if (array.ndim > 1)
    else array
  )


def _our_order(array: np.ndarray) -> np.ndarray:
  return np.moveaxis(array, (0, 1), (-1, -2)) if array.ndim > 1 else array
