"""--mode=compress: a file of trained weights, from any library, in fewer bytes."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from neural_epitome import flags, whole_files
from neural_epitome.compression import choices, drop
from neural_epitome.compression.compressed import Compressed
from neural_epitome.errors import UserError
from neural_epitome.modes import output, small_files
from neural_epitome.planning import budget as planning
from neural_epitome.report import compression
from neural_epitome.weight_files import (
  comparing,
  compressing,
  expanding,
  onnx_outputs,
  onnx_storage,
)

SEVERAL_PROCESSES = False

_ENDINGS = {"compact": ".safetensors", "onnx": ".onnx"}


def run(arguments: Sequence[str], overrides: flags.Overrides) -> None:
  """Runs the mode; see `modes`."""
  if overrides:
    raise UserError(f"--config.{overrides[0][0]} is of experiments, not of a file.")
  source = flags.WEIGHTS.value or next(iter(arguments), None)
  if source is None:
    raise UserError("--mode=compress needs --weights=FILE, a trained network's.")
  budgets = [b for b in (flags.BUDGET.value or "").split(",") if b.strip()]
  kind = _format()
  _check(budgets)
  source = Path(source).expanduser()
  graph = small_files.graph(source)
  comparison = comparing.compare(
    source,
    layout=flags.LAYOUT.value,
    keep=flags.KEEP.value,
    format=kind,
    moments=graph.moments() if graph else None,
    rule=next(way for way in choices.WAYS if way == flags.RULE.value),
    quiet=flags.JSON.value,
  )
  if not flags.JSON.value:
    print(_about(comparison))
  summaries = []
  for budget, small in _made(comparison, budgets, graph):
    default = compressing.default_output(source, budget, _ENDINGS[kind])
    path = Path(flags.OUTPUT.value or default)
    _save(small, path, source if kind == "onnx" else None)
    change = graph.change(comparison.weights(small)) if graph else None
    count = graph.count if graph else 0
    summaries.append(small_files.summary(comparison.file, small, path, change, count))
  picture = None
  if len(summaries) > 1:
    name = compressing.default_output(source, "sizes", ".png")
    picture = small_files.draw(summaries, name)
  data = summaries[0] if len(summaries) == 1 else summaries
  output.show(
    lambda: _text(summaries, comparison.file.kind, str(source), picture, kind), data
  )


def _format() -> comparing.Format:
  [*formats] = flags.FORMAT.value
  if formats == ["onnx"]:
    return "onnx"
  if formats != ["compact"]:
    raise UserError(
      f"--format={','.join(formats)}: --mode=compress writes one of compact, and of an "
      "ONNX graph onnx; --mode=export makes the others of the compact file."
    )
  return "compact"


def _check(budgets: Sequence[str]) -> None:
  max_drop = flags.MAX_DROP.value
  if max_drop is not None:
    drop.check(max_drop)
    if budgets:
      raise UserError("--max_drop is in place of --budget: give one of them.")
    if flags.EXAMPLES.value is None:
      raise UserError(
        "--max_drop needs --examples=FILE.npz, on which the drop is measured."
      )
  elif not budgets:
    raise UserError(
      "--mode=compress needs --budget: '300kB', '10x' smaller, or '4x,8x,16x'."
    )
  for budget in budgets:
    if len(budgets) > 1 and budget.strip().isdigit():
      raise UserError(
        f"--budget={','.join(budgets)}: {budget.strip()!r} has no unit. Commas join "
        "budgets ('4x,8x'); decimals have a point ('1.5MB')."
      )
    # Before kernels are compared, which takes its time; of a whole that has any size.
    planning.file_bytes(budget, 2**62)
  if len(budgets) > 1 and flags.OUTPUT.value:
    raise UserError("--output names one file; --budget asks for several.")
  if flags.OUTPUT.value and Path(flags.OUTPUT.value).is_dir():
    raise UserError(f"--output={flags.OUTPUT.value} is a directory; name a file in it.")


def _made(
  comparison: comparing.Comparison,
  budgets: Sequence[str],
  graph: onnx_outputs.Graph | None,
) -> Iterator[tuple[str, Compressed]]:
  """What is asked for, with a word for the file's name."""
  weights = None
  if graph:
    weights = comparison.sensitivities(graph.score, quiet=flags.JSON.value)
  max_drop = flags.MAX_DROP.value
  if graph and max_drop is not None:
    yield (
      f"drop{max_drop:g}",
      comparison.dropping(max_drop, lambda w: graph.change(w).drop, weights),
    )
  for budget in budgets:
    yield budget, comparison.within(budget, weights, graph.score if graph else None)


def _about(comparison: comparing.Comparison) -> str:
  file = comparison.file
  kernels = len(file.layouts.keys() - file.ties.keys())
  numbers = sum(array.size for array in file.arrays.values())
  line = (
    f"{file.nbytes:,} bytes ({file.kind}): {numbers:,} numbers in {len(file.arrays)} "
    f"arrays, {kernels} of them kernels. Each kernel is stored in the way that loses "
    "least for its bytes; the error is that of a layer's output, relative to it."
  )
  tied = ""
  if file.ties:
    name, first = next(iter(file.ties.items()))
    tied = (
      f"Stored once, since they are one array in the file: {name} and {first}"
      f"{f', and {len(file.ties) - 1} more' if len(file.ties) > 1 else ''}."
    )
  return "\n".join([*filter(None, [file.note, line, tied]), ""])


def _save(small: Compressed, path: Path, graph: Path | None) -> None:
  """Writes the compact file, or of a graph the small one."""
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    if graph is not None:
      onnx_storage.save(small, path, graph)
      return
    with whole_files.replacing(path) as partial:
      small.save(partial)
  except OSError as error:
    raise UserError(f"--output={path}: {error.strerror}.") from None


def _text(
  summaries: Sequence[dict[str, Any]],
  kind: str,
  source: str,
  picture: Path | None,
  written: comparing.Format,
) -> str:
  if len(summaries) > 1:
    parts = [compression.sweep_table(summaries), f"The same as a picture: {picture}"]
  else:
    parts = [compression.kernel_table(summaries[0])]
  if written == "onnx":
    return "\n\n".join(parts)
  path = summaries[-1]["file"]
  what, formats = expanding.ENDINGS[expanding.default_kind(kind)], "--format=weights"
  what = f"In full again, as {what}"
  if kind == "onnx":
    what = "As a small graph that runs as fast as it did (onnx-float: in full)"
    formats = f"--format=onnx --weights={shlex.quote(source)}"
  parts.append(
    f"{what}:\n"
    f"  python -m neural_epitome.main --mode=export --workdir={shlex.quote(path)} "
    f"{formats}\n"
    f"In Python: small = ne.load_compressed({path!r}); small.expand(small.compact)"
  )
  return "\n\n".join(parts)
