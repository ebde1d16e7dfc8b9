"""Draws docs/figures/dataflow.png: python docs/figures/dataflow.py.

How an experiment becomes a trained network and a file, and what the plan is for.
"""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from neural_epitome.report import figures

INK, QUIET, LINE = "#1c2733", "#5a6875", "#8fa3b8"
PLAIN, PLAN, DATA = "#eef3f8", "#fbe3d6", "#e3f1e6"
# Title, what it holds, left, bottom, colour; all of one size.
WIDTH, HEIGHT = 2.75, 1.15
BOXES = {
  "experiment": ("experiment", "a Python file, frozen\ndata: config.json", 0, 4, PLAIN),
  "inventory": (
    "inventory",
    "every kernel's shape\nand where it is used",
    3.5,
    4,
    PLAIN,
  ),
  "planner": ("planner", "a rate, a budget\nor a search", 7.0, 4, PLAIN),
  "plan": ("plan", "kernel by kernel: stored\ntensors, generator", 10.5, 4, PLAN),
  "data": ("data", "batches by seed and\nposition alone", 0, 2, DATA),
  "layers": ("layers", "read kernels from\nepitomes", 10.5, 2, PLAIN),
  "step": ("training step", "gradients of epitomes\nand offsets only", 7.0, 2, PLAIN),
  "state": ("run directory", "checkpoints, metrics,\npage of the run", 7.0, 0, PLAIN),
  "cost": ("cost", "bytes, parameters,\nmultiply-adds", 10.5, 0, PLAIN),
  "export": ("export", "compact file, C, ONNX,\nLiteRT, StableHLO", 3.5, 0, PLAIN),
}
# From, to, and the sides they leave and reach.
ARROWS = (
  ("experiment", "inventory", "right", "left"),
  ("inventory", "planner", "right", "left"),
  ("planner", "plan", "right", "left"),
  ("plan", "layers", "bottom", "top"),
  ("layers", "step", "left", "right"),
  ("data", "step", "right", "left"),
  ("experiment", "data", "bottom", "top"),
  ("step", "state", "bottom", "top"),
  ("state", "export", "left", "right"),
)


def side(name: str, which: str) -> tuple[float, float]:
  """The middle of a side of a box."""
  *_, left, bottom, _ = BOXES[name]
  across = {"left": 0.0, "right": 1.0}.get(which, 0.5)
  up = {"bottom": 0.0, "top": 1.0}.get(which, 0.5)
  return left + across * WIDTH, bottom + up * HEIGHT


def main() -> None:
  """Writes the figure."""
  with matplotlib.rc_context({**figures.STYLE, "font.size": 10}):
    figure = Figure(figsize=(9.9, 4.0))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-0.25, 13.6), ylim=(-0.25, 5.4))
    axes.axis("off")
    for title, inside, left, bottom, colour in BOXES.values():
      axes.add_patch(
        FancyBboxPatch(
          (left, bottom),
          WIDTH,
          HEIGHT,
          boxstyle="round,pad=0,rounding_size=0.12",
          fc=colour,
          ec=LINE,
          lw=1.1,
        )
      )
      middle = left + WIDTH / 2
      axes.text(middle, bottom + 0.87, title, ha="center", va="center", weight="bold")
      small = {"fontsize": 8.5, "color": QUIET, "linespacing": 1.15}
      axes.text(middle, bottom + 0.38, inside, ha="center", va="center", **small)
    for start, end, leaves, reaches in ARROWS:
      arrow = {"arrowstyle": "-|>", "color": QUIET, "lw": 1.4, "shrinkA": 0}
      axes.annotate("", side(end, reaches), side(start, leaves), arrowprops=arrow)
    # The plan is priced, too: past the layers, on the right.
    axes.plot((13.25, 13.4, 13.4), (4.57, 4.57, 0.57), color=QUIET, lw=1.4)
    arrow = {"arrowstyle": "-|>", "color": QUIET, "lw": 1.4, "shrinkA": 0}
    axes.annotate("", (13.25, 0.57), (13.41, 0.57), arrowprops=arrow)
    path = Path(__file__).with_suffix(".png")
    figure.savefig(path, dpi=160, facecolor="white")
    print(path)


if __name__ == "__main__":
  main()
