"""Small ONNX files beside the float one and ONNX Runtime's own integers.

  python -m benchmarks.compress.onnx_files

Networks that others trained (see `onnx_networks`) in forms that ONNX Runtime reads:
as they were; `ours`, compressed with --format=onnx to a file so many times smaller, and
`ours, measured`, the same by what errors of kernels do to the outputs of other inputs;
`dynamic int8`, the same with unsigned weights, and `static int8` of
onnxruntime.quantization, on the graph as its own pre-processing leaves it, the latter
calibrated on 64 examples. `DequantizeLinear` is int8 kernels of convolutions read
through that operator.

Latencies are medians of a call with one example on one thread, all forms of a network
in turn, in an order drawn anew each round; `latency_ratio` is the median over rounds of
a form's call over that of the float network. `output_error` is the difference of the
first output to the float network's, root mean square, relative; `difference_to_full`
the largest one of a small
file to the same weights in full; `compact_bytes` what the same weights take in a
compact file. Right are, of CREPE, percent of 1,024 tones for each of three seeds, of
Silero, of the pieces of sixteen spoken sounds for each.

Rows of networks that are not named stay.
"""

import argparse
import functools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process

import neural_epitome as ne
from benchmarks import common
from benchmarks.compress import onnx_networks
from neural_epitome.cost import latency
from neural_epitome.state_dicts import onnx_file
from neural_epitome.weight_files import comparing, onnx_outputs

_CALIBRATION = 64
_EXAMPLES_SEED = 1000
_SEEDS = (0, 1, 2)
_TRUTH = (7, 8, 9)


def session(path: Path) -> onnxruntime.InferenceSession:
  """On one thread, without warnings."""
  options = onnxruntime.SessionOptions()
  options.intra_op_num_threads, options.log_severity_level = 1, 3
  return onnxruntime.InferenceSession(
    str(path), options, providers=["CPUExecutionProvider"]
  )


def forms(
  network: onnx_networks.Network, folder: Path, ratios: list[int]
) -> dict[str, tuple[Path, Path | None, int]]:
  """The files of a network by form: it, the same in full, bytes of a compact file."""
  source, made = network.source, {}
  made["float"] = (source, None, 0)
  comparison = comparing.compare(source, format="onnx", quiet=True)
  np.savez(folder / "examples.npz", **network.draw(_EXAMPLES_SEED, network.examples))
  graph = onnx_outputs.Graph(source, folder / "examples.npz")
  sensitivity = comparison.sensitivities(graph.score, quiet=True)
  for ratio in ratios:
    for form, weights in (("ours", None), ("ours, measured", sensitivity)):
      compact = folder / f"{form}, {ratio}.safetensors"
      comparison.within(f"{ratio}x", weights, graph.score).save(compact)
      small, full = (
        ne.expand_file(compact, folder / f"{form}, {ratio}_{kind}.onnx", kind, source)
        for kind in ("onnx", "onnx-float")
      )
      made[f"{form}, {ratio}x"] = (small, full, compact.stat().st_size)
  ready = folder / "ready.onnx"
  try:
    quant_pre_process(source, ready, skip_symbolic_shape=True)
  except Exception as error:  # of whatever type: these tools are not ours
    print(f"not pre-processed: {_first_line(error)}", flush=True)
    ready = source
  names: dict[str, Callable[[Path], Any]] = {
    "DequantizeLinear": lambda path: dequantised(source, path),
    "dynamic int8": lambda path: quantization.quantize_dynamic(ready, path),
    "dynamic uint8": lambda path: quantization.quantize_dynamic(
      ready, path, weight_type=quantization.QuantType.QUInt8
    ),
    "static int8": lambda path: quantization.quantize_static(
      ready, path, _Calibration(network), per_channel=True
    ),
  }
  for name, write in names.items():
    path = folder / f"{name}.onnx"
    try:
      write(path)
      session(path).run(None, network.draw(0, 1))
    except Exception as error:  # likewise
      print(f"{name} is left out: {_first_line(error)}", flush=True)
      continue
    made[name] = (path, None, 0)
  return made


def _first_line(error: Exception) -> str:
  return f"{type(error).__name__}: {str(error).partition(chr(10))[0]:.200}"


class _Calibration(quantization.CalibrationDataReader):
  def __init__(self, network: onnx_networks.Network) -> None:
    self._left = [network.draw(100 + i, 1) for i in range(_CALIBRATION)]

  def get_next(self) -> Any:
    return self._left.pop() if self._left else None


def dequantised(source: Path, path: Path) -> None:
  """Kernels in int8 with a factor an output where the operator is a convolution."""
  model = onnx.load(source)
  if any(one.op_type in ("If", "Loop") for one in model.graph.node):
    raise ValueError("kernels are read in graphs inside operators")
  kernels = {node.input[1] for node in model.graph.node if node.op_type == "Conv"}
  found = dict(onnx_file.own_tensors(model.graph))
  nodes, tensors = [], []
  for name in sorted(kernels & found.keys()):
    kernel = onnx.numpy_helper.to_array(found[name])
    axes = tuple(range(1, kernel.ndim))
    scale = np.maximum(np.abs(kernel).max(axes), 1e-12).astype(np.float32) / 127
    integers = np.round(kernel / scale.reshape(-1, *[1] * len(axes))).astype(np.int8)
    tensors += [
      onnx.numpy_helper.from_array(integers, f"{name}/integers"),
      onnx.numpy_helper.from_array(scale, f"{name}/scale"),
    ]
    inputs = [f"{name}/integers", f"{name}/scale"]
    nodes.append(onnx.helper.make_node("DequantizeLinear", inputs, [name], axis=0))
  left = [one for one in model.graph.initializer if one.name not in kernels]
  kept = [
    node
    for node in model.graph.node
    if node.op_type != "Constant" or node.output[0] not in kernels
  ]
  graph = onnx.helper.make_graph(
    [*nodes, *kept], "it", model.graph.input, model.graph.output, [*left, *tensors]
  )
  for one in model.opset_import:
    one.version = max(one.version, 13) if not one.domain else one.version
  onnx.save(
    onnx.helper.make_model(
      graph, opset_imports=model.opset_import, ir_version=model.ir_version
    ),
    path,
  )


def outputs(path: Path, network: onnx_networks.Network) -> np.ndarray:
  """The first output on inputs of three seeds."""
  run = session(path).run
  found = [run(None, network.draw(s, network.examples))[0] for s in _SEEDS]
  return np.stack([np.asarray(one) for one in found])


def right_percent(path: Path, network: onnx_networks.Network) -> float | str:
  """The mean over seeds; empty where no truth is known."""
  if network.right_percent is None:
    return ""
  run = functools.partial(session(path).run, None)
  return round(statistics.mean(network.right_percent(run, seed) for seed in _TRUTH), 2)


def _in_any_order(
  runs: dict[str, Callable[[], Any]], rounds: int
) -> dict[str, list[float]]:
  """Seconds of each call; on a busy machine one place in a round may be slow."""
  random, seconds = np.random.default_rng(0), {form: [] for form in runs}
  for _ in range(rounds):
    order = random.permutation(list(runs)).tolist()
    for form, [once] in latency.alternate({one: runs[one] for one in order}, 1).items():
      seconds[form].append(once)
  return seconds


def measure(name: str, ratios: list[int], rounds: int) -> list[dict[str, Any]]:
  """The rows of one network."""
  with tempfile.TemporaryDirectory() as place:
    folder = Path(place)
    network = onnx_networks.find(name, folder)
    files = forms(network, folder, ratios)
    one, runs, loads = network.draw(0, 1), {}, {}
    for form, (path, _, _) in files.items():
      begin = time.perf_counter()
      loaded = session(path)
      loads[form] = time.perf_counter() - begin
      runs[form] = lambda loaded=loaded: loaded.run(None, one)
    latency.alternate(runs, 3)
    seconds = _in_any_order(runs, rounds)
    whole = network.source.stat().st_size
    truth, rows = outputs(network.source, network), []
    for form, (path, full, compact) in files.items():
      found, size = outputs(path, network), path.stat().st_size
      error = np.linalg.norm(found - truth) / np.linalg.norm(truth)
      gap = np.abs(found - outputs(full, network)).max() if full else None
      rows.append(
        {
          "network": name,
          "form": form,
          "bytes": size,
          "times_smaller": round(whole / size, 2),
          "compact_bytes": compact or "",
          "median_ms": round(1e3 * statistics.median(seconds[form]), 3),
          "latency_ratio": round(
            common.paired_ratio(seconds[form], seconds["float"]), 3
          ),
          "load_ms": round(1e3 * loads[form], 1),
          "output_error": round(float(error), 4),
          "difference_to_full": "" if gap is None else f"{gap:.2g}",
          "right_percent": right_percent(path, network),
          "rounds": rounds,
        }
      )
      print(*list(rows[-1].values())[:11], sep="\t", flush=True)
  return rows


def main() -> None:
  """Measures and writes results/onnx_files.csv."""
  parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
  parser.add_argument("--networks", nargs="+", default=onnx_networks.NAMES)
  parser.add_argument("--ratios", type=int, nargs="+", default=[8, 12, 16])
  parser.add_argument("--rounds", type=int, default=100)
  arguments = parser.parse_args()
  kept = [
    row for row in common.read("onnx_files") if row["network"] not in arguments.networks
  ]
  rows: list[dict[str, Any]] = []
  for name in arguments.networks:
    rows += measure(name, arguments.ratios, arguments.rounds)
    common.write("onnx_files", rows, ("numpy", "onnx", "onnxruntime"), kept=kept)


if __name__ == "__main__":
  main()
