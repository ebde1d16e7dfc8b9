"""An ONNX network stored by other methods, written back into its graph and scored.

  python -m benchmarks.compress.onnx_rivals --nnc /path/to/python/with/nncodec

Every method makes the weights of a network of `onnx_networks` smaller, without data and
without training; what is read back of its file is put into the graph, ONNX Runtime runs
that, and the truth tells how many of the answers are right. Sizes: of `ours`, the
compact file, names, plan and graph's names in it; of NNC its bit stream; of all others
codes, scales and code books, and what is no kernel in float16. None of them has the
graph in it. `ours, measured` has seen the outputs on other inputs (`--examples=`).
"""

import argparse
import functools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common
from benchmarks.compress import nnc, onnx_files, onnx_networks, rivals
from neural_epitome.compression import compact_reader
from neural_epitome.errors import UserError
from neural_epitome.state_dicts import weights_file, writing
from neural_epitome.state_dicts.weights_file import WeightsFile
from neural_epitome.weight_files import comparing, onnx_outputs

RATIOS = (8, 12, 16, 24)
TRUTH = (7, 8, 9)
_EXAMPLES_SEED = 1000
_BITS, _LEVELS = (8, 6, 4, 3), (32, 16, 8, 4)

# Arrays by name, in the shapes of the file, and bytes.
Small = tuple[dict[str, np.ndarray], float]


def arms(
  network: onnx_networks.Network,
  file: WeightsFile,
  nnc_python: str | None,
  folder: Path,
) -> Iterator[tuple[str, str, Callable[[], Small]]]:
  """Method, setting, and what does it."""
  ours = {name: layout.to_ours(file.arrays[name]) for name, layout in _kernels(file)}
  rest, rest_bytes = rivals.half_rest(
    {name: array for name, array in file.arrays.items() if name not in ours}
  )

  def back(coded: rivals.Coded) -> Small:
    made = {
      name: layout.from_ours(coded.kernels[name], file.arrays[name].shape)
      for name, layout in _kernels(file)
    }
    return rest | made, coded.nbytes + rest_bytes

  def of_each(method: Callable, **setting: int) -> Callable[[], Small]:
    one = functools.partial(method, **setting)
    return lambda: back(rivals.each(one, ours))

  def of_all(method: Callable, ratio: int) -> Callable[[], Small]:
    return lambda: back(method(ours, file.nbytes / ratio - rest_bytes))

  comparison = functools.cache(lambda: comparing.compare(network.source, quiet=True))

  def written(ratio: int, is_measured: bool) -> Small:
    budget = f"{ratio}x"
    if is_measured:
      examples = folder / "examples.npz"
      np.savez(examples, **network.draw(_EXAMPLES_SEED, network.examples))  # pyright: ignore[reportArgumentType]
      graph = onnx_outputs.Graph(network.source, examples)
      weights = comparison().sensitivities(graph.score, quiet=True)
      small = comparison().within(budget, weights, graph.score)
    else:
      small = comparison().within(budget)
    path = folder / "small.safetensors"
    small.save(path)
    read = compact_reader.read(path).parameters()
    kernels = {
      name: layout.from_ours(read[name], file.arrays[name].shape)
      for name, layout in _kernels(file)
    }
    return read | kernels, path.stat().st_size

  yield "float", "float32", lambda: (dict(file.arrays), file.nbytes)
  for ratio in RATIOS:
    yield "ours", f"{ratio}x", functools.partial(written, ratio, False)
    yield "ours, measured", f"{ratio}x", functools.partial(written, ratio, True)
    yield "scalars", f"{ratio}x", of_all(rivals.uniform_scalars, ratio)
    yield "low rank", f"{ratio}x", of_all(rivals.low_rank, ratio)
    if nnc_python:
      budget = file.nbytes // ratio
      yield (
        "nnc",
        f"{ratio}x",
        lambda b=budget: nnc.code_within(nnc_python, file.arrays, b),
      )
  for bits in _BITS:
    yield "round to nearest", f"int{bits}", of_each(rivals.round_to_nearest, bits=bits)
  for levels in _LEVELS:
    yield "palette", f"{levels} levels", of_each(rivals.palette, levels=levels)


def _kernels(file: WeightsFile) -> Iterator[tuple[str, Any]]:
  yield from file.layouts.items()


def measure(name: str, nnc_python: str | None) -> Iterator[dict[str, Any]]:
  """The rows of one network."""
  with tempfile.TemporaryDirectory() as place:
    folder = Path(place)
    network = onnx_networks.find(name, folder)
    if network.right_percent is None:
      raise UserError(f"What is right is not known of {name}.")
    file = weights_file.read(network.source)
    truth = onnx_files.outputs(network.source, network)
    for method, setting, compress in arms(network, file, nnc_python, folder):
      begin = time.perf_counter()
      arrays, nbytes = compress()
      seconds, path = time.perf_counter() - begin, folder / "back.onnx"
      arrays = {n: np.reshape(arrays[n], a.shape) for n, a in file.arrays.items()}
      writing.write(path, arrays, file.form, "onnx", network.source)
      run = functools.partial(onnx_files.session(path).run, None)
      right = [network.right_percent(run, seed) for seed in TRUTH]
      found = onnx_files.outputs(path, network)
      error = np.linalg.norm(found - truth) / np.linalg.norm(truth)
      yield {
        "network": name,
        "method": method,
        "setting": setting,
        "bytes": round(nbytes),
        "times_smaller": round(file.nbytes / nbytes, 2),
        "right_percent": round(statistics.mean(right), 2),
        "right_stdev": round(statistics.stdev(right), 2),
        "output_error": round(float(error), 4),
        "seconds": round(seconds, 1),
      }


def main() -> None:
  """Measures and writes results/onnx_rivals.csv."""
  parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
  parser.add_argument("--networks", nargs="+", default=["silero_vad"])
  parser.add_argument("--nnc", help="an interpreter with nncodec; without, no NNC")
  arguments = parser.parse_args()
  kept = [
    row
    for row in common.read("onnx_rivals")
    if row["network"] not in arguments.networks
  ]
  rows: list[dict[str, Any]] = []
  for name in arguments.networks:
    for row in measure(name, arguments.nnc):
      rows.append(row)
      print(*row.values(), sep="\t", flush=True)
      common.write("onnx_rivals", rows, ("numpy", "onnx", "onnxruntime"), kept=kept)


if __name__ == "__main__":
  try:
    main()
  except UserError as error:
    sys.exit(f"error: {error}")
