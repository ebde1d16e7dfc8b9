"""The points, lines and labels of a figure of top-1 against cost."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neural_epitome.report import comparison, labels, markers, methods

Summary = Mapping[str, Any]

FRONT, BAND = "#bcc7d3", "#f4f6f9"


def method_name(row: Summary) -> str:
  """The name of a row's method, without the settings behind it."""
  return comparison.name(row["method"])


def _dense(rows: Sequence[Summary]) -> list[float]:
  """Top-1 of the dense network, if it is there."""
  accuracies = [
    row["top1"] for row in rows if methods.known(method_name(row)) == "dense"
  ]
  return [max(accuracies)] if accuracies else []


def draw_dense(axes: Any, rows: Sequence[Summary]) -> None:
  """Draws a dashed line at the top-1 of the dense network, if it is there."""
  style = {
    "color": markers.LOOKS["architecture"][1][0],
    "linestyle": (0, (5, 4)),
    "lw": 0.9,
  }
  for line in _dense(rows):
    axes.axhline(line, zorder=1.5, **style)


def draw_groups(axes: Any, edges: np.ndarray) -> None:
  """Draws a band behind points that stand side by side for the same cost."""
  for left, right in np.unique(edges, axis=0):
    if right > left:
      axes.axvspan(left, right, color=BAND, lw=0, zorder=0.5)


def draw_front(
  axes: Any, rows: Sequence[Summary], edges: np.ndarray, best: Sequence[Summary]
) -> None:
  """Draws the Pareto front as steps behind the points.

  Args:
    axes: with their final limits.
    rows: that are drawn.
    edges: of `markers.spread`.
    best: the rows on the front.
  """
  ids = {id(row) for row in best}
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


def draw_method(
  axes: Any,
  name: str,
  look: tuple[str, str],
  rows: Sequence[Summary],
  places: np.ndarray,
) -> None:
  """Draws the points of a method, their error bars and a line through them.

  Args:
    axes: of the figure.
    name: of the method.
    look: its marker and colour.
    rows: of all methods.
    places: of `markers.spread`, by row.
  """
  marker, colour = look
  learned = methods.family(name) == "learned"
  points = sorted(
    (place, row["top1"], row["sd"] or 0.0)
    for row, place in zip(rows, places, strict=True)
    if method_name(row) == name
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


def draw_labels(
  axes: Any,
  rows: Sequence[Summary],
  places: np.ndarray,
  looks: Mapping[str, tuple[str, str]],
  best: Sequence[Summary],
) -> None:
  """Writes a label beside a point of each method, those on the Pareto front first.

  Args:
    axes: of a figure that has been drawn.
    rows: that are drawn.
    places: of `markers.spread`, by row.
    looks: marker and colour by method.
    best: the rows on the front.
  """
  ids = {id(row) for row in best}
  points = [
    labels.Point(
      row["method"],
      place,
      row["top1"],
      row["sd"] or 0.0,
      looks[method_name(row)][1],
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
