"""Top-1 against what a network stores or computes, with the Pareto front.

Methods of one stored size would hide each other: points that stand within a few
percent of each other are drawn side by side, in the same order everywhere.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neural_epitome.errors import UserError
from neural_epitome.report import comparison, figures, labels, markers, methods

Summary = Mapping[str, Any]

LABELS = {"stored_params": "stored parameters", "madds": "MAdds, as executed"}

FRONT, BAND, TEXT = "#bcc7d3", "#f4f6f9", "#5a6875"
DPI = 150


def front(summary: Sequence[Summary], x: str) -> list[Summary]:
  """The rows that no other beats, by x.

  A row is beaten by one of higher top-1 that costs no more; costs within
  `comparison.SAME_SIZE` are equal.
  """
  rows = sorted(summary, key=lambda row: (row[x], -row["top1"]))
  return [
    row
    for row in rows
    if not any(
      other["top1"] > row["top1"] and other[x] <= row[x] * (1 + comparison.SAME_SIZE)
      for other in rows
    )
  ]


def figure(
  summary: Sequence[Summary],
  x: str,
  path: pathlib.Path,
  title: str | None = None,
) -> None:
  """Writes the figure of `draw` as PNG. Raises UserError if no row has `x`."""
  drawing = draw(summary, x, title)
  path.parent.mkdir(parents=True, exist_ok=True)
  drawing.savefig(path, dpi=DPI, bbox_inches="tight", pad_inches=0.12)


def draw(summary: Sequence[Summary], x: str, title: str | None = None) -> Any:
  """Draws one setting's methods.

  Each method has a colour and its family a marker; error bars are standard
  deviations over seeds. The dense network is a dashed line too. Labels stand beside
  points where there is room. What lies far below the others is not drawn, as nothing
  else could be told apart: a line inside the axes says where it is.

  Args:
    summary: of `comparison.summarise`; rows without `x` are left out.
    x: `stored_params` or `madds`.
    title: instead of what is against what.

  Returns:
    A Matplotlib figure.

  Raises:
    UserError: if no row has `x`.
  """
  import matplotlib
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  rows = [row for row in summary if row.get(x)]
  if not rows:
    raise UserError(f"There is nothing to draw: no run has {x}.")
  rows, below = far_below(rows)
  names = sorted({_name(row) for row in rows}, key=methods.order)
  looks = markers.looks(names)
  places, edges = markers.spread(
    [row[x] for row in rows], [names.index(_name(row)) for row in rows]
  )
  with matplotlib.rc_context(figures.STYLE):
    drawing = Figure(figsize=(7.0, 4.8), dpi=DPI)
    canvas = FigureCanvasAgg(drawing)
    axes = drawing.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xscale("log")
    axes.set_title(title or f"top-1 against {LABELS[x]}", pad=12)
    axes.set(xlabel=f"{LABELS[x]} (log scale)", ylabel="top-1, %")
    _limits(axes, rows, edges)
    _draw_groups(axes, edges)
    _draw_dense(axes, rows)
    _draw_front(axes, rows, edges, x)
    for name in names:
      _draw_method(axes, name, looks[name], rows, places)
    _ticks(axes)
    _draw_below(axes, below)
    _legend(axes, names, looks, bool(np.any(np.diff(edges))))
    canvas.draw()  # texts have no extent before
    _label(axes, rows, places, looks, front(rows, x))
  return drawing


def _name(row: Summary) -> str:
  return comparison.name(row["method"])


def far_below(rows: Sequence[Summary]) -> tuple[list[Summary], list[Summary]]:
  """The rows that are drawn, and those under Tukey's outer fence."""
  low, high = np.percentile([row["top1"] for row in rows], (25, 75))
  fence = low - 3 * max(high - low, 1.0)
  shown = [row for row in rows if row["top1"] >= fence]
  return shown, [row for row in rows if row["top1"] < fence]


def _draw_below(axes: Any, rows: Sequence[Summary]) -> None:
  accuracies: dict[str, list[float]] = {}
  for row in rows:
    accuracies.setdefault(_name(row), []).append(row["top1"])
  texts = []
  for name, values in accuracies.items():
    ends = dict.fromkeys(f"{value:.1f}" for value in (min(values), max(values)))
    texts.append(f"{name} {' to '.join(ends)}")
  if texts:
    style = {"fontsize": 8, "color": TEXT, "transform": axes.transAxes}
    axes.text(0.01, 0.015, f"far below: {', '.join(texts)}", **style)


def _limits(axes: Any, rows: Sequence[Summary], edges: np.ndarray) -> None:
  lows = [row["top1"] - (row["sd"] or 0.0) for row in rows]
  highs = [row["top1"] + (row["sd"] or 0.0) for row in rows]
  pad = max(0.07 * (max(highs) - min(lows)), 0.3)
  axes.set_ylim(min(lows) - pad, max(highs) + pad)
  logs = np.log(edges)
  margin = max(0.06 * np.ptp(logs), 0.15)
  axes.set_xlim(*np.exp([logs.min() - margin, logs.max() + margin]))


def _dense(rows: Sequence[Summary]) -> list[float]:
  """Top-1 of the dense network, if it is there."""
  accuracies = [row["top1"] for row in rows if methods.known(_name(row)) == "dense"]
  return [max(accuracies)] if accuracies else []


def _draw_dense(axes: Any, rows: Sequence[Summary]) -> None:
  style = {
    "color": markers.LOOKS["architecture"][1][0],
    "linestyle": (0, (5, 4)),
    "lw": 0.9,
  }
  for line in _dense(rows):
    axes.axhline(line, zorder=1.5, **style)


def _draw_groups(axes: Any, edges: np.ndarray) -> None:
  """A band behind points that are drawn side by side for the same cost."""
  for left, right in np.unique(edges, axis=0):
    if right > left:
      axes.axvspan(left, right, color=BAND, lw=0, zorder=0.5)


def _draw_front(axes: Any, rows: Sequence[Summary], edges: np.ndarray, x: str) -> None:
  ids = {id(row) for row in front(rows, x)}
  # From where its group begins: no point of the same cost may stand before it.
  members = sorted(
    (edge, row["top1"])
    for row, (edge, _) in zip(rows, edges, strict=True)
    if id(row) in ids
  )
  if members:
    xs, ys = zip(*members, strict=True)
    # On to the right edge: what is beyond the last is beaten by it.
    xs, ys = [*xs, axes.get_xlim()[1]], [*ys, ys[-1]]
    style = {"color": FRONT, "lw": 3.5, "solid_joinstyle": "round", "zorder": 1}
    axes.step(xs, ys, where="post", **style)


def _draw_method(
  axes: Any,
  name: str,
  look: tuple[str, str],
  rows: Sequence[Summary],
  places: np.ndarray,
) -> None:
  marker, colour = look
  learned = methods.family(name) == "learned"
  points = sorted(
    (place, row["top1"], row["sd"] or 0.0)
    for row, place in zip(rows, places, strict=True)
    if _name(row) == name
  )
  xs, ys, spreads = zip(*points, strict=True)
  above = 4 if learned else 3
  axes.plot(xs, ys, color=colour, lw=0.9, alpha=0.35, zorder=2)
  axes.errorbar(
    xs,
    ys,
    yerr=np.ma.masked_equal(spreads, 0.0),
    fmt="none",
    ecolor=colour,
    elinewidth=1.1,
    capsize=1.8,
    zorder=above,
  )
  axes.plot(
    xs,
    ys,
    marker,
    color=colour,
    ms=5.6 if marker != "^" else 6.2,
    mec="white",
    mew=0.6,
    zorder=above + 0.5,
  )


def _ticks(axes: Any) -> None:
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


def _legend(
  axes: Any,
  names: Sequence[str],
  looks: Mapping[str, tuple[str, str]],
  is_grouped: bool,
) -> None:
  """Methods under their family's heading, right of the axes."""
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
  handles.append(Line2D([], [], color=FRONT, lw=3.5, label="Pareto front"))
  if is_grouped:
    shade = {"facecolor": BAND, "edgecolor": FRONT, "lw": 0.5}
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


def _label(
  axes: Any,
  rows: Sequence[Summary],
  places: np.ndarray,
  looks: Mapping[str, tuple[str, str]],
  best: Sequence[Summary],
) -> None:
  """A label for each method, the Pareto front first."""
  ids = {id(row) for row in best}
  points = [
    labels.Point(
      row["method"],
      place,
      row["top1"],
      row["sd"] or 0.0,
      looks[_name(row)][1],
      preferred=id(row) in ids,
    )
    for row, place in zip(rows, places, strict=True)
  ]
  first = {point.label for point in points if point.preferred}
  order = sorted(
    dict.fromkeys(point.label for point in points),
    key=lambda label: (label not in first, methods.order(comparison.name(label))),
  )
  labels.write(axes, points, order, _dense(rows))
