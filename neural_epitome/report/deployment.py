"""What must be known to use an exported network, as aligned lines."""

from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

# Names of classes on a line; the files have all of them.
_SHOWN = 6


def about(record: Mapping[str, Any]) -> str:
  """The record of `export.deployment`, a subject a line."""
  form, output = record["input"], record["output"]
  classes = record["classes"]
  names = ", ".join(classes[:_SHOWN]) + (", ..." if len(classes) > _SHOWN else "")
  rows = [
    ("input", f"{form['name']}: {_tensor(form, form.get('layout'))}"),
    *_picture(form),
    *_signal(form),
    ("output", f"{output['name']}: {_tensor(output)}; softmax gives probabilities"),
    ("classes", f"{len(classes):,}: {names}"),
    ("weights", f"{record['of']}, of step {record['step']:,}"),
    ("versions", ", ".join(f"{k} {v}" for k, v in record["versions"].items())),
    ("plan", f"SHA-256 {record['plan_digest']}"),
  ]
  return tabulate(rows, tablefmt="plain", disable_numparse=True)


def _tensor(of: Mapping[str, Any], layout: str | None = None) -> str:
  shape = ", ".join(["batch", *map(str, of["shape"])])
  return f"{of['dtype']} ({shape})" + (f", {layout}" if layout else "")


def _picture(form: Mapping[str, Any]) -> list[tuple[str, str]]:
  if form["kind"] != "image":
    return []
  crop, size = form["crop"], form["resize"]["size"]
  return [
    (
      "picture",
      f"{form['channels']}, turned by its {form['turn']}; {crop['what']} of "
      f"{crop['of_short_side']:g} of the short side, resized to {size[0]} x {size[1]} "
      f"({form['resize']['filter']})",
    ),
    (
      "values",
      f"{_span(form['range'])}, then less {_few(form['mean'])}, over "
      f"{_few(form['std'])}",
    ),
  ]


def _signal(form: Mapping[str, Any]) -> list[tuple[str, str]]:
  if form["kind"] != "signal":
    return []
  rate = form["sample_rate"]
  return [
    (
      "signal",
      f"{form['length']:,} samples{f' at {rate:,} Hz' if rate else ''} from the "
      f"{form['anchor']}, zeros where there are none, channels: {form['channels']}",
    ),
    ("values", f"{_span(form['range'])}, over {form['normalisation']}"),
  ]


def _span(values: Sequence[float]) -> str:
  return f"{values[0]:g} to {values[1]:g}"


def _few(values: Sequence[float]) -> str:
  """One number where all channels have it."""
  return ", ".join(f"{v:g}" for v in (values if len(set(values)) > 1 else values[:1]))
