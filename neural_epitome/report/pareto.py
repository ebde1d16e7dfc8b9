"""Figures of top-1 against what a network stores or computes, with the Pareto front.

Methods of one stored size would hide each other: points that stand within a few
percent of each other are drawn side by side, in the same order everywhere.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neural_epitome.errors import UserError
from neural_epitome.report import (
  comparison,
  figures,
  markers,
  methods,
  pareto_axes,
  pareto_marks,
)

Summary = Mapping[str, Any]

LABELS = {"stored_params": "stored parameters", "madds": "MAdds, as executed"}


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
  drawing.savefig(path, dpi=pareto_axes.DPI, bbox_inches="tight", pad_inches=0.12)


def draw(summary: Sequence[Summary], x: str, title: str | None = None) -> Any:
  """Draws one setting's methods.

  Each method has a colour and its family a marker; error bars are standard
  deviations over seeds. The dense network is a dashed line too. Labels stand beside
  points where there is room. Points far below the others are not drawn, since the
  others would then lie too close together; a line of text inside the axes says where
  they are.

  Args:
    summary: of `comparison.summarise`; rows without `x` are left out.
    x: `stored_params` or `madds`.
    title: of the figure; None for one that names both axes.

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
  best = front(rows, x)
  names = sorted({pareto_marks.method_name(row) for row in rows}, key=methods.order)
  looks = markers.looks(names)
  places, edges = markers.spread(
    [row[x] for row in rows],
    [names.index(pareto_marks.method_name(row)) for row in rows],
  )
  with matplotlib.rc_context(figures.STYLE):
    drawing = Figure(figsize=(7.0, 4.8), dpi=pareto_axes.DPI)
    canvas = FigureCanvasAgg(drawing)
    axes = drawing.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xscale("log")
    axes.set_title(title or f"top-1 against {LABELS[x]}", pad=12)
    axes.set(xlabel=f"{LABELS[x]} (log scale)", ylabel="top-1, %")
    pareto_axes.set_limits(axes, rows, edges)
    pareto_marks.draw_groups(axes, edges)
    pareto_marks.draw_dense(axes, rows)
    pareto_marks.draw_front(axes, rows, edges, best)
    for name in names:
      pareto_marks.draw_method(axes, name, looks[name], rows, places)
    pareto_axes.set_ticks(axes)
    pareto_axes.draw_below(axes, below)
    pareto_axes.draw_legend(axes, names, looks, bool(np.any(np.diff(edges))))
    canvas.draw()  # texts have no extent before
    pareto_marks.draw_labels(axes, rows, places, looks, best)
  return drawing


def far_below(rows: Sequence[Summary]) -> tuple[list[Summary], list[Summary]]:
  """Splits rows into those that are drawn and those under Tukey's outer fence."""
  low, high = np.percentile([row["top1"] for row in rows], (25, 75))
  fence = low - 3 * max(high - low, 1.0)
  shown = [row for row in rows if row["top1"] >= fence]
  return shown, [row for row in rows if row["top1"] < fence]
