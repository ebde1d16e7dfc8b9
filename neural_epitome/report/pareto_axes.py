"""The axes of a figure of top-1 against cost: limits, ticks, legend and a note."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neural_epitome.report import markers, methods, pareto_marks

Summary = Mapping[str, Any]

TEXT = "#5a6875"
DPI = 150


def set_limits(axes: Any, rows: Sequence[Summary], edges: np.ndarray) -> None:
  """Limits that hold all error bars and the groups of `markers.spread`."""
  lows = [row["top1"] - (row["sd"] or 0.0) for row in rows]
  highs = [row["top1"] + (row["sd"] or 0.0) for row in rows]
  pad = max(0.07 * (max(highs) - min(lows)), 0.3)
  axes.set_ylim(min(lows) - pad, max(highs) + pad)
  logs = np.log(edges)
  margin = max(0.06 * np.ptp(logs), 0.15)
  axes.set_xlim(*np.exp([logs.min() - margin, logs.max() + margin]))


def set_ticks(axes: Any) -> None:
  """Ticks at round numbers of the logarithmic axis, such as 200k and 1M."""
  from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

  def text(value: float, _: Any) -> str:
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
      if value >= unit:
        return f"{value / unit:g}{letter}"
    return f"{value:g}"

  low, high = axes.get_xlim()
  decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.log10(high))
  # Round numbers, as round as leaves three of them; else Matplotlib's choice.
  for subs in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
    ticks = np.sort(np.outer(decades, subs).ravel())
    if np.sum((ticks >= low) & (ticks <= high)) >= 3:
      axes.xaxis.set_major_locator(FixedLocator(ticks.tolist()))
      break
  axes.xaxis.set_major_formatter(FuncFormatter(text))
  axes.xaxis.set_minor_locator(LogLocator(subs=range(1, 10)))
  axes.xaxis.set_minor_formatter(NullFormatter())


def draw_legend(
  axes: Any,
  names: Sequence[str],
  looks: Mapping[str, tuple[str, str]],
  is_grouped: bool,
) -> None:
  """Writes the methods under their family's heading, right of the axes.

  Args:
    axes: of the figure.
    names: of the methods.
    looks: their marker and colour.
    is_grouped: whether there are bands of points that stand side by side.
  """
  from matplotlib.lines import Line2D
  from matplotlib.patches import Patch

  handles, headings = [], []
  for family in markers.LOOKS:
    members = [name for name in names if methods.family(name) == family]
    if members:
      headings.append(len(handles))
      handles.append(Line2D([], [], ls="none", label=family))
    for name in members:
      marker, colour = looks[name]
      handle = Line2D([], [], ls="none", marker=marker, ms=7, mew=0.6, label=name)
      handle.set(markerfacecolor=colour, markeredgecolor="white")
      handles.append(handle)
  handles.append(Line2D([], [], ls="none", label=""))
  handles.append(Line2D([], [], color=pareto_marks.FRONT, lw=3.5, label="Pareto front"))
  if is_grouped:
    shade = {"facecolor": pareto_marks.BAND, "edgecolor": pareto_marks.FRONT, "lw": 0.5}
    handles.append(Patch(label="one cost, side by side", **shade))
  legend = axes.legend(
    handles=handles,
    loc="upper left",
    bbox_to_anchor=(1.01, 1.02),
    borderaxespad=0.0,
    handlelength=1.4,
    handletextpad=0.8,
    labelspacing=0.32,
  )
  indent = (1.4 + 0.8) * 9 * DPI / 72  # of a label behind its marker, pixels
  for number in headings:
    legend.get_texts()[number].set(color=TEXT, fontsize=8, x=-indent)


def draw_below(axes: Any, rows: Sequence[Summary]) -> None:
  """Names the methods that lie below the axes, with their range of top-1."""
  accuracies: dict[str, list[float]] = {}
  for row in rows:
    accuracies.setdefault(pareto_marks.method_name(row), []).append(row["top1"])
  texts = []
  for name, values in accuracies.items():
    ends = dict.fromkeys(f"{value:.1f}" for value in (min(values), max(values)))
    texts.append(f"{name} {' to '.join(ends)}")
  if texts:
    style = {"fontsize": 8, "color": TEXT, "transform": axes.transAxes}
    axes.text(0.01, 0.015, f"far below: {', '.join(texts)}", **style)
