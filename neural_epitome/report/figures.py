"""Pictures of a run: training curves and routing maps. Matplotlib, without a screen.

Matplotlib is imported where a figure is made: training alone never loads it.
"""

import pathlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from neural_epitome.cost.plan_table import shape_text
from neural_epitome.report import routing_maps
from neural_epitome.report.routing_maps import Offsets, Shape

RAW, EMA, TRAIN = "#1f5fa8", "#d1602b", "#9db4cc"
STYLE: dict[Any, Any] = {
  "font.size": 9,
  "axes.spines.top": False,
  "axes.spines.right": False,
  "axes.titlesize": 10,
  "axes.titleweight": "bold",
  "axes.titlelocation": "left",
  "axes.grid": True,
  "grid.alpha": 0.25,
  "legend.frameon": False,
}


# Inches. Fixed margins: Matplotlib's own layout engines double the drawing time.
LEFT, RIGHT, TOP, BOTTOM = 0.62, 0.12, 0.55, 0.48
# Matplotlib's settings are those of the process, and `live` draws in a thread.
_DRAWING = threading.Lock()


@contextmanager
def figure(path: pathlib.Path, panels: Sequence[float], height: float) -> Iterator:
  """Axes of these widths in inches side by side, saved as PNG on leaving."""
  import matplotlib
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  # No pyplot: it keeps figures, and a backend, for the whole process.
  with _DRAWING, matplotlib.rc_context(STYLE):
    width = sum(panels) + len(panels) * (LEFT + RIGHT)
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    axes, left = [], LEFT
    for panel in panels:
      inside = (height - TOP - BOTTOM) / height
      box = (left / width, BOTTOM / height, panel / width, inside)
      axes.append(figure.add_axes(box))
      left += panel + RIGHT + LEFT
    yield figure, axes
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100, pil_kwargs={"compress_level": 3})


# What the curves show, and the width of each in inches.
PANELS = {"loss": 3.1, "top-1": 3.1, "learning rate": 2.2, "speed": 2.2}


def curves(
  lines: Sequence[Mapping[str, Any]],
  path: pathlib.Path,
  panels: Mapping[str, float] = PANELS,
) -> None:
  """Draws loss, top-1, learning rate and throughput by step.

  Args:
    lines: of metrics.jsonl.
    path: the PNG.
    panels: which of `PANELS`, side by side, and how wide, in inches.
  """
  train = [line for line in lines if line["kind"] == "train"]
  evaluations = [line for line in lines if line["kind"] == "evaluation"]
  with figure(path, list(panels.values()), 3.2) as (_, drawn):
    for name, axes in zip(panels, drawn, strict=True):
      if name == "loss":
        _line(axes, train, "loss", "training (smoothed labels)", TRAIN, thin=True)
        _line(axes, evaluations, "loss", "evaluation", RAW)
        _line(axes, evaluations, "loss_ema", "evaluation, EMA", EMA)
        axes.set(title="loss, nats", xlabel="step")
      elif name == "top-1":
        _line(axes, train, "accuracy", "training batch", TRAIN, 100.0, thin=True)
        _line(axes, evaluations, "top1", "evaluation", RAW, 100.0)
        _line(axes, evaluations, "top1_ema", "evaluation, EMA", EMA, 100.0)
        axes.set(title="top-1, %", xlabel="step")
      elif name == "learning rate":
        _line(axes, train, "learning_rate", None, RAW)
        axes.set(title="learning rate", xlabel="step")
        axes.set_ylim(bottom=0.0)
      else:
        _line(axes, train, "images_per_second", None, RAW)
        axes.set(title="images a second", xlabel="step")
        axes.set_ylim(bottom=0.0)
      if axes.get_legend_handles_labels()[0]:
        axes.legend()


def _line(
  axes: Any,
  lines: Sequence[Mapping[str, Any]],
  name: str,
  label: str | None,
  colour: str,
  scale: float = 1.0,
  thin: bool = False,
) -> None:
  points = [(r["step"], r[name] * scale) for r in lines if r.get(name) is not None]
  if not points:
    return
  marker = "o" if not thin and label and len(points) < 60 else None
  width = 1.0 if thin else 1.8
  steps, values = zip(*points, strict=True)
  axes.plot(
    steps, values, color=colour, label=label, linewidth=width, marker=marker, ms=3.5
  )


def routing_map(
  name: str,
  offsets: Offsets,
  shape: Shape,
  epitome_shape: Shape,
  path: pathlib.Path,
) -> None:
  """Draws how one kernel reads its epitome.

  Left the epitome, every channel pair in a colour of its own, with a dot where each
  replica starts; right the kernel in the colours it reads, by the same sampling that
  generates it, with the replicas' borders; and, where the epitome has more room
  than the window, where the windows lie in it. A tile shows as one dot and the same
  picture repeated, any other map as many dots and shifted copies.

  Args:
    name: the layer.
    offsets: its routing map.
    shape: of its kernel.
    epitome_shape: of its epitome.
    path: the PNG.
  """
  has_room = epitome_shape[:-2] != shape[:-2]
  widths = [_width(*epitome_shape[-2:]), _width(*shape[-2:])]
  with figure(path, widths + [2.0] * has_room, 3.1) as (drawn, axes):
    drawn.text(0.01, 0.97, name, va="top", fontsize=10, color="#5a6875")
    cells = epitome_shape[-2:]
    _picture(axes[0], routing_maps.palette(*cells))
    axes[0].set_title(f"epitome {shape_text(epitome_shape)}")
    blocks = routing_maps.blocks(offsets, shape, epitome_shape)
    starts = np.array([(d % cells[1], c % cells[0]) for _, _, c, d in blocks])
    axes[0].plot(*starts.T, "o", ms=6, mfc="white", mec="black", clip_on=False)
    _picture(axes[1], routing_maps.painted(offsets, shape, epitome_shape))
    axes[1].set_title(f"kernel {shape_text(shape)}")
    for start in range(cells[0], shape[-2], cells[0]):
      axes[1].axhline(start - 0.5, color="black", linewidth=1.0)
    for start in range(cells[1], shape[-1], cells[1]):
      axes[1].axvline(start - 0.5, color="black", linewidth=1.0)
    if has_room:
      _windows(axes[2], offsets, shape, epitome_shape)


def _width(rows: int, columns: int) -> float:
  """Inches for a picture and its labels, within what a page can show."""
  return float(np.clip(2.1 * columns / rows, 1.6, 3.8))


def _picture(axes: Any, values: np.ndarray) -> None:
  axes.grid(False)
  axes.set(xlabel="output channel", ylabel="input channel")
  # Stretched to the panel: a 16 x 1280 kernel would be a thread otherwise.
  axes.imshow(values, aspect="auto", interpolation="nearest")
  axes.locator_params(integer=True, nbins=5)


def _windows(axes: Any, offsets: Offsets, shape: Shape, epitome_shape: Shape) -> None:
  from matplotlib.patches import Rectangle

  starts = routing_maps.windows(offsets, shape, epitome_shape)
  starts = np.pad(starts, ((0, 0), (2 - starts.shape[1], 0)))
  height, width = (1, *epitome_shape[:-2])[-2:]
  window_height, window_width = (1, *shape[:-2])[-2:]
  alpha = max(0.15, 0.9 / len(starts))
  for top, left in starts:
    axes.add_patch(
      Rectangle(
        (left - 0.5, top - 0.5),
        window_width,
        window_height,
        facecolor=RAW,
        edgecolor="black",
        linewidth=0.8,
        alpha=alpha,
      )
    )
  axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), aspect="equal")
  axes.locator_params(integer=True, nbins=5)
  axes.set_title("windows")
