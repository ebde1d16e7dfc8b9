"""The arms of `crepe`: what is done with a file of weights, and what is read back."""

import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.compress import crepe_network as network
from benchmarks.compress import nnc, rivals
from neural_epitome.compression import compact_reader
from neural_epitome.compression.compressed import Compressed
from neural_epitome.state_dicts.weights_file import WeightsFile
from neural_epitome.training.compressed_distillation import distill
from neural_epitome.weight_files import comparing

RATIOS = (4, 8, 12, 16, 20, 25, 30, 40, 60)
# Tones on which sensitivities are measured, once a kernel, and others that teach.
OTHER_SEED, OTHER_TONES = 1000, 512
TEACHING_SEED, TEACHING_TONES, EPOCHS = 1001, 2048, 2
BITS = (8, 6, 4, 3, 2)
LEVELS = (16, 8, 4)
# Weights of a run, and words of a kernel's code book.
CODE_BOOKS = ((2, 256), (4, 256), (4, 64), (8, 256), (8, 64))
QPS = (-20, -16, -14, -12, -10, -8, -7, -6, -5, -4, -3, -2, -1, 0, 2, 4, 6)

# What is read back, by name, and the bytes of the file.
Small = tuple[dict[str, np.ndarray], float]


def arms(
  path: Path, file: WeightsFile, nnc_python: str | None, ratios: Sequence[int]
) -> Iterator[tuple[str, str, Callable[[], Small]]]:
  """Method, setting, and what does it.

  Args:
    path: of the weights.
    file: the same, read.
    nnc_python: an interpreter that has `nncodec`; None leaves NNC out.
    ratios: of the file to what is made, where a method can aim at one.
  """
  arrays = network.in_our_layout(file, file.arrays)
  kernels = {name: arrays[name] for name in file.layouts}
  rest, rest_bytes = rivals.half_rest(
    {n: a for n, a in arrays.items() if n not in kernels}
  )
  yield "dense", "float32", lambda: (arrays, file.nbytes)

  def beside(coded: rivals.Coded) -> Small:
    return rest | coded.kernels, coded.nbytes + rest_bytes

  def of_each(method: Callable, **setting: int) -> Callable[[], Small]:
    one = functools.partial(method, **setting)
    return lambda: beside(rivals.each(one, kernels))

  def of_all(method: Callable, ratio: int) -> Callable[[], Small]:
    return lambda: beside(method(kernels, file.nbytes / ratio - rest_bytes))

  comparison = functools.cache(lambda: comparing.compare(path, quiet=True))
  for ratio in ratios:
    yield "best", f"{ratio}x", lambda r=ratio: _written(comparison(), f"{r}x")
  sensitivity = functools.cache(lambda: _sensitivity(comparison()))
  for ratio in ratios:
    yield (
      "best, measured",
      f"{ratio}x",
      lambda r=ratio: _written(comparison(), f"{r}x", sensitivity()),
    )
  for ratio in ratios:
    yield (
      "best, distilled",
      f"{ratio}x",
      lambda r=ratio: _file(_distilled(comparison(), f"{r}x")),
    )
  for ratio in ratios:
    yield (
      "best, distilled, places fixed",
      f"{ratio}x",
      lambda r=ratio: _file(_distilled(comparison(), f"{r}x", moves=0)),
    )
  if nnc_python:
    coded = functools.partial(_nnc, nnc_python, file)
    for qp in QPS:
      yield "nnc", f"qp {qp}", functools.partial(coded, qp)
  for bits in BITS:
    yield "round to nearest", f"int{bits}", of_each(rivals.round_to_nearest, bits=bits)
  for levels in LEVELS:
    yield "palette", f"{levels} levels", of_each(rivals.palette, levels=levels)
  for ratio in ratios:
    yield "uniform scalars", f"{ratio}x", of_all(rivals.uniform_scalars, ratio)
  for ratio in ratios:
    yield "low rank", f"{ratio}x", of_all(rivals.low_rank, ratio)
  for size, words in CODE_BOOKS:
    setting = {"size": size, "words": words}
    yield (
      "product quantisation",
      f"{words} x {size}",
      of_each(rivals.product_quantised, **setting),
    )


def _written(
  comparison: comparing.Comparison,
  budget: str,
  sensitivity: Mapping[str, float] | None = None,
) -> Small:
  return _file(comparison.within(budget, sensitivity))


def _file(small: Compressed) -> Small:
  """What is read back from the file that it is written to."""
  with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "small.safetensors"
    small.save(path)
    return compact_reader.read(path).parameters(), path.stat().st_size


def _distilled(
  comparison: comparing.Comparison, budget: str, moves: int = 4
) -> Compressed:
  """Taught by the network itself, on tones that are not those of the rows."""
  file = comparison.file
  sound, _ = network.tones(TEACHING_SEED, TEACHING_TONES)
  return distill(
    comparison.within(budget),
    network.floats(network.in_our_layout(file, file.arrays)),
    lambda arrays, sound: network.forward(network.floats(arrays), sound),
    sound,
    loss="labels",
    epochs=EPOCHS,
    moves=moves,
    quiet=True,
  )


def _sensitivity(comparison: comparing.Comparison) -> dict[str, float]:
  """What errors of each kernel cost, on tones that are not those of the rows."""
  sound, pitch = network.tones(OTHER_SEED, OTHER_TONES)

  def right(arrays: dict[str, np.ndarray]) -> float:
    return network.right_percent(
      network.in_our_layout(comparison.file, arrays), sound, pitch
    )

  return comparison.sensitivities(right, quiet=True)


def _nnc(python: str, file: WeightsFile, qp: int) -> Small:
  arrays, nbytes = nnc.code(python, file.arrays, qp)
  return network.in_our_layout(file, arrays), nbytes
