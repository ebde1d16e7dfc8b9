"""The picture of a sweep of budgets: what the size of the file costs."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from neural_epitome.report import figures

_WIDTH, _HEIGHT = 4.4, 3.4
_OUTPUTS, _KERNELS = figures.RAW, figures.EMA
_LABELS = {"accuracy": "accuracy, %", "agreement": "top-1 as before, %"}


def draw(summaries: Sequence[Mapping[str, Any]], path: pathlib.Path) -> pathlib.Path:
  """Draws size against error, and beside it against accuracy where it was measured.

  Args:
    summaries: of several budgets, see `compression.summary`, with "outputs" or without.
    path: of the PNG.
  """
  from matplotlib.ticker import PercentFormatter

  rows = sorted(summaries, key=lambda one: one["bytes"])
  measured = [one for one in rows if one.get("outputs", {}).get("drop") is not None]
  measure = measured[0]["outputs"]["measure"] if measured else "error"
  panels = [_WIDTH] * (1 + (measure != "error"))
  with figures.figure(path, panels, _HEIGHT) as (_, axes):
    if measure != "error":
      _accuracy(axes[0], measured, measure)
      _sizes(axes[0], rows)
    errors = axes[-1]
    _line(errors, rows, [100 * one["error"] for one in rows], "layers", _KERNELS)
    if measured:
      values = [100 * one["outputs"]["output_error"] for one in measured]
      _line(errors, measured, values, "the network's outputs", _OUTPUTS)
      errors.legend(fontsize=8)
    whose = "outputs" if measured else "layers' outputs"
    errors.set(title=f"error of {whose}, relative", ylim=(0, None))
    errors.yaxis.set_major_formatter(PercentFormatter(decimals=0))
    _sizes(errors, rows)
  return path


def _accuracy(axes: Any, rows: Sequence[Mapping[str, Any]], measure: str) -> None:
  values = [one["outputs"]["percent"] for one in rows]
  _line(axes, rows, values, measure, _OUTPUTS)
  before = 100.0
  if measure == "accuracy":
    before = values[0] + rows[0]["outputs"]["drop"]
  axes.axhline(before, color="black", linewidth=1, dashes=(4, 3))
  axes.annotate(
    "as it was",
    (0.01, before),
    (0, 3),
    xycoords=("axes fraction", "data"),
    textcoords="offset points",
    fontsize=8,
  )
  axes.set_title(_LABELS[measure])
  axes.margins(y=0.15)


def _line(
  axes: Any,
  rows: Sequence[Mapping[str, Any]],
  values: Sequence[float],
  label: str,
  color: str,
) -> None:
  sizes = [one["bytes"] for one in rows]
  axes.plot(sizes, values, "o-", label=label, color=color, markersize=5)


def _sizes(axes: Any, rows: Sequence[Mapping[str, Any]]) -> None:
  """The axis of bytes, with a mark at every file where they do not lie too close."""
  from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

  whole = rows[0]["source_bytes"]
  axes.set_xscale("log")
  least, most = rows[0]["bytes"], rows[-1]["bytes"]
  axes.set_xlim(least / 1.25, most * 1.25)
  marks: list[int] = []
  apart = (1.25**2 * most / least) ** (1 / 6)
  for one in rows:
    if not marks or one["bytes"] >= apart * marks[-1]:
      marks.append(one["bytes"])
  axes.xaxis.set_major_locator(FixedLocator(marks))
  axes.xaxis.set_minor_locator(NullLocator())
  axes.xaxis.set_major_formatter(
    FuncFormatter(lambda size, _: f"{_bytes(size)}\n{whole / size:.3g}x")
  )


def _bytes(size: float) -> str:
  unit, letter = (1e6, "MB") if size >= 1e6 else (1e3, "kB")
  return f"{size / unit:.3g} {letter}"
