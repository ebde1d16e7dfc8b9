"""Files of --mode=compress, measured beside what they were made of."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neural_epitome import flags
from neural_epitome.compression.compressed import Compressed
from neural_epitome.errors import UserError
from neural_epitome.modes import output
from neural_epitome.report import compression, compression_figure
from neural_epitome.state_dicts import weights_file
from neural_epitome.state_dicts.weights_file import WeightsFile
from neural_epitome.weight_files import evaluation, expanding, onnx_outputs

_NOT_RUN = (
  "Only kernels were compared: --examples=FILE.npz, with the network as an ONNX graph "
  "in --weights, tells what its outputs lose."
)


def are_given(paths: Sequence[Path | str]) -> bool:
  """Whether some of the files are of --mode=compress.

  Raises:
    UserError: if others are not.
  """
  small = [expanding.is_of_weights(path) for path in paths]
  if any(small) and not all(small):
    raise UserError(
      f"{paths[small.index(True)]} is a file of compressed weights and "
      f"{paths[small.index(False)]} is none: compare them apart."
    )
  return any(small)


def evaluate(path: Path, overrides: flags.Overrides) -> None:
  """Shows what was lost by a file, kernel by kernel and in the network's outputs."""
  [summary] = _summaries([path], overrides)
  parts = [compression.kernel_table(summary)]
  if "outputs" not in summary:
    parts.append(_NOT_RUN)
  output.show(lambda: "\n\n".join(parts), summary)


def compare(paths: Sequence[Path], overrides: flags.Overrides) -> None:
  """Shows several files of one network, by size, in one table and one picture."""
  summaries = _summaries(paths, overrides)
  folder = Path(flags.OUTPUT.value or "comparison").expanduser()
  parts = [compression.sweep_table(summaries)]
  if len(summaries) > 1:
    picture = draw(summaries, folder / "sizes.png")
    parts.append(f"The same as a picture: {picture}")
  if "outputs" not in summaries[0]:
    parts.append(_NOT_RUN)
  output.show(lambda: "\n\n".join(parts), summaries)


def graph(source: Path) -> onnx_outputs.Graph | None:
  """The network that --examples are for; None without them."""
  if flags.EXAMPLES.value is None:
    return None
  return onnx_outputs.Graph(source, Path(flags.EXAMPLES.value).expanduser())


def summary(
  file: WeightsFile,
  small: Compressed,
  path: Path,
  change: onnx_outputs.Change | None,
  examples: int,
) -> dict[str, Any]:
  """What is to be told of one file; see `report.compression`."""
  data = compression.summary(file, small, str(path))
  return data | ({"outputs": compression.outputs(change, examples)} if change else {})


def draw(summaries: Sequence[dict[str, Any]], path: Path) -> Path:
  """The picture of several sizes; returns its path."""
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    return compression_figure.draw(summaries, path)
  except OSError as error:
    raise UserError(f"{path} cannot be written: {error.strerror}.") from None


def _summaries(
  paths: Sequence[Path], overrides: flags.Overrides
) -> list[dict[str, Any]]:
  """Of files of one network, the largest first."""
  if overrides:
    raise UserError(f"--config.{overrides[0][0]} cannot change what a file holds.")
  if flags.WEIGHTS.value is None:
    raise UserError(
      f"{paths[0]} holds compressed weights: --weights=FILE that they were made of is "
      "needed beside it, and --examples=FILE.npz to run it where it is an ONNX graph."
    )
  source = Path(flags.WEIGHTS.value).expanduser()
  network, file = graph(source), weights_file.read(source, flags.LAYOUT.value)
  summaries = []
  for path in paths:
    small, weights = evaluation.beside(path, file)
    change = network.change(weights) if network else None
    count = network.count if network else 0
    summaries.append(summary(file, small, path, change, count))
  return sorted(summaries, key=lambda one: -one["bytes"])
