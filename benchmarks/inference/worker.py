"""One network in one runtime, in a process that takes turns; see `inference`.

  python -m benchmarks.inference.worker RUNTIME FILE INPUTS.npz CORE

It is bound to one core, and imports the runtime alone, so that memory is the runtime's.
"""

import os
import sys
import time
from collections.abc import Callable

import numpy as np

from benchmarks import interleave

Run = Callable[[np.ndarray], np.ndarray]


def xla(path: str) -> Run:
  """StableHLO, by JAX."""
  from neural_epitome.export import stablehlo

  return stablehlo.read(path)


def onnxruntime(path: str) -> Run:
  """ONNX, by ONNX Runtime."""
  import onnxruntime

  options = onnxruntime.SessionOptions()
  options.intra_op_num_threads = 1
  session = onnxruntime.InferenceSession(
    path, options, providers=["CPUExecutionProvider"]
  )
  return lambda images: session.run(None, {"images": images})[0]


def litert(path: str) -> Run:
  """A .tflite file, by LiteRT with XNNPACK."""
  from ai_edge_litert.interpreter import Interpreter

  interpreter = Interpreter(model_path=path, num_threads=1)
  [read], [written] = interpreter.get_input_details(), interpreter.get_output_details()

  def run(images: np.ndarray) -> np.ndarray:
    if tuple(interpreter.get_input_details()[0]["shape"]) != images.shape:
      interpreter.resize_tensor_input(read["index"], images.shape)
      interpreter.allocate_tensors()
    interpreter.set_tensor(read["index"], images)
    interpreter.invoke()
    return interpreter.get_tensor(written["index"])

  interpreter.allocate_tensors()
  return run


def torch(path: str) -> Run:
  """The dense network of the parity tests in torch, with weights of its own."""
  del path
  import torch

  from tests.models.torch_reference import MobileNetV2

  torch.set_num_threads(1)
  model = MobileNetV2().to(memory_format=torch.channels_last).eval()

  def run(images: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
      # Channels last, as they come.
      return model(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()

  return run


def peak_ram() -> int:
  """Most bytes that the process has held; getrusage would count its parent's."""
  with open("/proc/self/status") as file:
    [peak] = [line for line in file if line.startswith("VmHWM")]
  return 1024 * int(peak.split()[1])


RUNTIMES = {"xla": xla, "onnxruntime": onnxruntime, "litert": litert, "torch": torch}


def main() -> None:
  """Loads, says what that took and how exact it is, and then takes turns."""
  runtime, path, inputs, core = sys.argv[1:]
  os.sched_setaffinity(0, {int(core)})
  with np.load(inputs) as arrays:
    images, expected = arrays["images"], arrays["logits"]
  begin = time.perf_counter()
  run = RUNTIMES[runtime](path)
  logits = np.asarray(run(images))
  load = time.perf_counter() - begin
  for _ in range(3):
    np.asarray(run(images))

  def turn() -> dict[str, float]:
    # The others' turns have emptied the caches; a loop of calls would find them warm.
    np.asarray(run(images))
    begin = time.perf_counter()
    np.asarray(run(images))
    return {"seconds": time.perf_counter() - begin}

  ready = {
    "load_ms": 1e3 * load,
    "peak_ram_bytes": peak_ram(),
    "max_abs_diff": None
    if runtime == "torch"
    else float(np.abs(logits - expected).max()),
  }
  interleave.serve(ready, turn)


if __name__ == "__main__":
  main()
