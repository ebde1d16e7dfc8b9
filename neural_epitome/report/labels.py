"""Labels beside points, so that none covers a point or another label."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

Box = tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True)
class Point:
  """A point that is drawn already.

  Attributes:
    label: what is written; points of one label share it.
    x: in data coordinates.
    y: in data coordinates.
    spread: half the height of its error bar.
    colour: of the label.
    preferred: whether the label would rather stand here.
  """

  label: str
  x: float
  y: float
  spread: float
  colour: str
  preferred: bool


def write(
  axes: Any, points: Sequence[Point], order: Sequence[str], lines: Sequence[float]
) -> None:
  """Writes each label once, at the point of it that has most room.

  Greedily, in pixels. A label that fits nowhere is left to the legend.

  Args:
    axes: of a figure that has been drawn, limits final.
    points: all that labels may not cover, error bars included.
    order: the labels; earlier ones choose first.
    lines: heights of horizontal lines, which stay clear too.
  """
  from matplotlib.patheffects import withStroke

  scale = axes.figure.dpi / 72
  canvas, frame = axes.figure.canvas, axes.get_window_extent()
  pixels = [axes.transData.transform((point.x, point.y)) for point in points]
  obstacles: list[Box] = []
  for point, (px, py) in zip(points, pixels, strict=True):
    half = axes.transData.transform((point.x, point.y + point.spread))[1] - py
    obstacles.append((px - 4 * scale, py - 4 * scale, px + 4 * scale, py + 4 * scale))
    obstacles.append((px - 2 * scale, py - half, px + 2 * scale, py + half))
  for line in lines:
    height = axes.transData.transform((1.0, line))[1]
    obstacles.append((frame.x0, height - scale, frame.x1, height + scale))
  for label in order:
    mine = [number for number, point in enumerate(points) if point.label == label]
    colour = points[mine[0]].colour
    text = axes.text(0, 0, label, fontsize=7.5, color=colour, zorder=6)
    text.set_path_effects([withStroke(linewidth=2.2, foreground="white", alpha=0.9)])
    extent = text.get_window_extent(canvas.get_renderer())
    places = [
      (cost - 3 * scale * points[number].preferred, number, box)
      for number in mine
      for cost, box in _candidates(pixels[number], extent.width, extent.height, scale)
      if _inside(box, frame) and not any(_overlap(box, other) for other in obstacles)
    ]
    if not places:
      text.remove()
      continue
    _, number, box = min(places)
    obstacles.append(box)
    centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    text.set_position(axes.transData.inverted().transform(centre))
    text.set(ha="center", va="center_baseline")
    _leader(axes, pixels[number], box, colour, scale)


def _inside(box: Box, frame: Any) -> bool:
  x0, y0, x1, y1 = box
  return frame.x0 <= x0 and x1 <= frame.x1 and frame.y0 <= y0 and y1 <= frame.y1


def _candidates(
  point: np.ndarray, width: float, height: float, scale: float
) -> Iterator[tuple[float, Box]]:
  """Boxes around a point, with the distance that each costs."""
  px, py = point
  for gap in (7, 11, 16, 22, 29, 37, 46):
    reach = gap * scale
    for angle in np.arange(0, 360, 30):
      dx, dy = np.cos(np.radians(angle)), np.sin(np.radians(angle))
      # The nearest edge of the box lies `reach` away in this direction.
      cx, cy = px + dx * (reach + width / 2), py + dy * (reach + height / 2)
      box = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
      yield reach + 0.2 * scale * (angle not in (0, 180)), box


def _overlap(a: Box, b: Box) -> bool:
  return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _leader(
  axes: Any,
  point: np.ndarray,
  box: Box,
  colour: str,
  scale: float,
) -> None:
  """A thin line from a label that does not stand right beside its point."""
  edge = np.clip(point, [box[0], box[1]], [box[2], box[3]])
  if np.hypot(*(edge - point)) < 9 * scale:
    return
  ends = axes.transData.inverted().transform([point, edge])
  axes.plot(*ends.T, color=colour, lw=0.6, alpha=0.8, zorder=2.5)
