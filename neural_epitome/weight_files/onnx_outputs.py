"""What compressed weights change in the outputs of an ONNX graph, on examples."""

import math
import os
import pathlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from neural_epitome import packages
from neural_epitome.errors import UserError
from neural_epitome.state_dicts import weights_file, writing
from neural_epitome.state_dicts.leaves import shown
from neural_epitome.weight_files import onnx_examples, onnx_moments

# A score must be finite; outputs that are no numbers count as this error.
_RUINED = 1e6


class Change(NamedTuple):
  """Outputs with some weights, beside those of the network as it was.

  Attributes:
    measure: what `percent` is: `accuracy` where there are labels; `agreement`, examples
      whose largest output is the same one, where the first output is (N, classes);
      `error` elsewhere, which is `output_error`.
    percent: of it.
    drop: percent points by which it is worse than that of the network as it was.
    output_error: root mean square over the graph's outputs of their relative error.
  """

  measure: Literal["accuracy", "agreement", "error"]
  percent: float
  drop: float
  output_error: float


class Graph:
  """An ONNX graph and the examples that it is run on by ONNX Runtime.

  Attributes:
    count: of the examples.
  """

  def __init__(self, source: str | os.PathLike, examples: str | os.PathLike) -> None:
    """Runs the graph as it is.

    Args:
      source: the ONNX file.
      examples: an .npz file, see `onnx_examples.read`.

    Raises:
      UserError: if `onnxruntime` is not installed, the graph cannot be run, the
        examples do not fit it or make outputs that are not finite.
    """
    file = weights_file.read(source)
    if file.kind != "onnx":
      raise UserError(
        f"--examples= needs the network as an ONNX graph: {source} is {file.kind}."
      )
    self._source, self._form, self._file = source, file.form, file
    session = self._session(pathlib.Path(source))
    arguments = {one.name: one for one in session.get_inputs()}
    self._names = [one.name for one in session.get_outputs()]
    self._examples = onnx_examples.read(examples, arguments)
    self._outputs = self._run(session)
    self.count = self._examples.count
    for name, output in zip(self._names, self._outputs, strict=True):
      if not np.isfinite(output).all():
        raise UserError(
          f"{source}: its output {shown(name)} is not finite on {examples}, with the "
          "weights as they are."
        )
    self._top = self._largest(self._outputs)
    labels = self._examples.labels
    if labels is None:
      return
    if self._top is None:
      shape = list(self._outputs[0].shape)
      raise UserError(
        f"{examples} has labels, and the first output is no (examples, classes) but "
        f"of shape {shape}."
      )
    classes = self._outputs[0].shape[-1]
    if labels.min() < 0 or labels.max() >= classes:
      raise UserError(
        f"{examples}: labels lie in {labels.min()} to {labels.max()}, and the graph "
        f"tells {classes} classes apart, from 0."
      )

  def change(self, weights: Mapping[str, np.ndarray]) -> Change:
    """What weights make of the outputs; the drop is infinite where they are ruined.

    Args:
      weights: by the names, and in the shapes, of the file.
    """
    with tempfile.TemporaryDirectory() as folder:
      path = pathlib.Path(folder) / "graph.onnx"
      writing.write(path, weights, self._form, "onnx", self._source)
      outputs = self._run(self._session(path))
    error = self._error(outputs)
    top, labels = self._top, self._examples.labels
    if top is None:
      return Change("error", 100 * error, 100 * error, error)
    right = top if labels is None else labels
    before, now = 100 * np.mean(top == right), 0.0
    if math.isfinite(error):
      now = 100 * float(np.mean(self._largest(outputs) == right))
    drop = float(before) - now if math.isfinite(error) else math.inf
    return Change("agreement" if labels is None else "accuracy", now, drop, error)

  def score(self, weights: Mapping[str, np.ndarray]) -> float:
    """Minus the squared error of outputs: smooth, unlike a share of the examples."""
    return -min(self.change(weights).output_error ** 2, _RUINED)

  def moments(self) -> dict[str, np.ndarray]:
    """Second moments of what kernels read, see `onnx_moments.measure`."""
    return onnx_moments.measure(self._source, self._file, self._values)

  def _values(
    self, graph: bytes, names: Sequence[str]
  ) -> Iterator[dict[str, np.ndarray]]:
    """Tensors of a graph, call by call."""
    with tempfile.TemporaryDirectory() as folder:
      path = pathlib.Path(folder) / "graph.onnx"
      path.write_bytes(graph)
      session = self._session(path)
    for call in self._examples.calls:
      values = session.run(list(names), call)
      yield {n: np.asarray(v) for n, v in zip(names, values, strict=True)}

  def _error(self, outputs: list[np.ndarray]) -> float:
    squares = []
    for before, now in zip(self._outputs, outputs, strict=True):
      if before.dtype.kind != "f":
        continue
      whole = float(np.sum(np.square(before, dtype=np.float64)))
      with np.errstate(over="ignore", invalid="ignore"):
        difference = now.astype(np.float64) - before
        lost = float(np.sum(np.square(difference)))
      squares.append(lost / whole if whole > 0 else float(lost > 0))
    mean = sum(squares) / max(len(squares), 1)
    return math.sqrt(mean) if math.isfinite(mean) else math.inf

  def _largest(self, outputs: list[np.ndarray]) -> np.ndarray | None:
    """The largest of each example's first output, (N,); None if that has none."""
    first = outputs[0]
    is_classes = first.ndim == 2 and first.shape[1] > 1 and first.dtype.kind == "f"
    if not is_classes or len(first) != self._examples.count:
      return None
    return np.argmax(first, 1)

  def _run(self, session: Any) -> list[np.ndarray]:
    """All outputs, of all calls."""
    try:
      calls = [session.run(None, one) for one in self._examples.calls]
    except Exception as error:  # of types that the runtime does not tell
      raise UserError(f"{self._source} cannot be run: {_line(error)}") from None
    if len(calls) == 1:
      return [np.asarray(output) for output in calls[0]]
    return [
      np.concatenate([np.atleast_1d(output) for output in outputs])
      for outputs in zip(*calls, strict=True)
    ]

  def _session(self, path: pathlib.Path) -> Any:
    runtime = packages.needed("onnxruntime", "onnx", "--examples=")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    try:
      return runtime.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"]
      )
    except Exception as error:  # likewise
      raise UserError(f"{self._source} cannot be run: {_line(error)}") from None


def _line(error: Exception) -> str:
  return shown(str(error).partition("\n")[0], 300)
