"""How a file of weights was made smaller, as a table and a line for people."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

from neural_epitome.compression.compressed import Compressed
from neural_epitome.cost.kernel_storage import kernel_bytes, stored_text
from neural_epitome.cost.plan_table import shape_text
from neural_epitome.state_dicts.weights_file import WeightsFile
from neural_epitome.weight_files.onnx_outputs import Change

# Relative error from which a kernel is called ruined: half of its energy is lost.
RUINED = math.sqrt(0.5)
_HEADERS = ["kernel", "layout", "here", "stored as", "bits a weight", "error", ""]
# A shortened name has this many letters.
_NAME = 48


def summary(file: WeightsFile, small: Compressed, path: str) -> dict[str, Any]:
  """What came of a file, as JSON-ready data.

  Args:
    file: that was compressed.
    small: what was made of it.
    path: of the compact file that it was written to.

  Returns:
    "file", "bytes", "source_bytes", "times_smaller", "error" (the root of the mean of
    the kernels' squared relative errors), and "kernels": for each by its name
    "layout", "shape", "stored", "bytes", "bits" a weight and "error".
  """
  kernels = {
    name: {
      "layout": file.layouts[name].name,
      "shape": list(kernel.shape),
      "stored": stored_text(kernel, small.plan),
      "bytes": (size := kernel_bytes(kernel, small.plan)),
      "bits": round(8 * size / math.prod(kernel.shape), 3),
      "error": round(small.errors[name], 4),
    }
    for name, kernel in small.plan.kernels.items()
  }
  squares = [error**2 for error in small.errors.values()]
  return {
    "file": path,
    "bytes": small.totals.stored_bytes,
    "source_bytes": file.nbytes,
    "times_smaller": round(file.nbytes / small.totals.stored_bytes, 2),
    "error": round(math.sqrt(sum(squares) / len(squares)), 4),
    "kernels": kernels,
  }


def outputs(change: Change, examples: int) -> dict[str, Any]:
  """What a network's outputs lost, as JSON-ready data; numbers are null if ruined."""
  numbers = {"drop": change.drop, "output_error": change.output_error}
  return {
    "measure": change.measure,
    "percent": round(change.percent, 3) if math.isfinite(change.percent) else None,
    **{k: round(v, 4) if math.isfinite(v) else None for k, v in numbers.items()},
    "examples": examples,
  }


def kernel_table(data: Mapping[str, Any]) -> str:
  """The kernels of a `summary`, and what to know about it."""
  kernels: Mapping[str, Mapping[str, Any]] = data["kernels"]
  rows = [
    [
      _shortened(name),
      one["layout"],
      shape_text(tuple(one["shape"])),
      one["stored"],
      f"{one['bits']:.2f}",
      f"{one['error']:.3f}",
      "ruined" if one["error"] > RUINED else "",
    ]
    for name, one in kernels.items()
  ]
  align = ("left", "left", "left", "left", "right", "right", "left")
  table = tabulate(rows, _HEADERS, colalign=align, disable_numparse=True)
  line = (
    f"{data['file']}: {data['bytes']:,} bytes, {data['times_smaller']:g} times smaller "
    f"than the file of {data['source_bytes']:,}; error {data['error']:.3f}"
  )
  ruined = [name for name, one in kernels.items() if one["error"] > RUINED]
  if ruined:
    line += (
      f"\n{len(ruined)} of {len(rows)} kernels lost half of their energy or more: give "
      f"a larger --budget, or keep some as they are (--keep={ruined[0]})."
    )
  if "outputs" in data:
    line += f"\n{_outputs_line(data['outputs'])}"
  return f"{table}\n\n{line}"


def _outputs_line(data: Mapping[str, Any]) -> str:
  on = f"On {data['examples']:,} example" + "s" * (data["examples"] != 1)
  if data["drop"] is None:
    return f"{on} the outputs are not finite: give a larger --budget."
  error = f"its outputs differ by {100 * data['output_error']:.2g}%"
  if data["measure"] == "accuracy":
    accuracy, was = data["percent"], data["percent"] + data["drop"]
    return f"{on} its accuracy is {accuracy:.2f}%, it was {was:.2f}%; {error}."
  if data["measure"] == "agreement":
    return f"{on} its top-1 is that of before in {data['percent']:.2f}%; {error}."
  return f"{on} {error}."


def sweep_table(summaries: Sequence[Mapping[str, Any]]) -> str:
  """One line for each of several budgets."""
  rows = [
    [
      one["file"],
      f"{one['bytes']:,}",
      f"{one['times_smaller']:.2f}x",
      f"{one['error']:.3f}",
      f"{max(kernel['error'] for kernel in one['kernels'].values()):.3f}",
      sum(kernel["error"] > RUINED for kernel in one["kernels"].values()),
    ]
    for one in summaries
  ]
  headers = ["file", "bytes", "smaller", "error", "largest error", "kernels ruined"]
  if all("outputs" in one for one in summaries):
    measure = summaries[0]["outputs"]["measure"]
    headers += ["outputs' error", *([measure] if measure != "error" else [])]
    for row, one in zip(rows, summaries, strict=True):
      of = one["outputs"]
      is_ruined = of["drop"] is None
      row.append("not finite" if is_ruined else f"{100 * of['output_error']:.2f}%")
      if measure != "error":
        row.append("" if is_ruined else f"{of['percent']:.2f}%")
  align = ("left", *("right",) * (len(headers) - 1))
  return tabulate(rows, headers, colalign=align, disable_numparse=True)


def _shortened(name: str) -> str:
  return name if len(name) <= _NAME else f"{name[: _NAME // 2]}...{name[-_NAME // 2 :]}"
