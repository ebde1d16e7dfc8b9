"""Draws docs/figures/epitome.png: python docs/figures/epitome.py.

A kernel of 12 x 24 weights, sampled from an epitome of 6 x 8 numbers. Every number of
the epitome has a colour, and the kernel is painted by `epitome.sampling`.
"""

from pathlib import Path

import jax.numpy as jnp
import matplotlib
import numpy as np
from matplotlib import patheffects
from matplotlib.figure import Figure

from neural_epitome.epitome import sampling
from neural_epitome.report import figures, routing_maps

CELLS, SHAPE = (6, 8), (12, 24)
OFFSETS = {"input": [0.0, 2.0], "output": [0.0, 3.0, 5.5]}
INK, QUIET = "#1c2733", "#5a6875"
INCH = 0.19  # a weight


def draw(axes, colours, corner):
  """A matrix of colours whose lower left weight stands at `corner`, one unit each."""
  height, width = colours.shape[:2]
  left, bottom = corner
  box = (left, left + width, bottom, bottom + height)
  axes.imshow(colours, extent=box, interpolation="nearest")
  axes.add_patch(
    matplotlib.patches.Rectangle(corner, width, height, fill=False, ec=INK, lw=1.2)
  )


def main() -> None:
  """Writes the figure."""
  palette = routing_maps.palette(*CELLS)
  offsets = {axis: jnp.float32(value) for axis, value in OFFSETS.items()}
  kernel = np.stack(
    [sampling.sample(jnp.float32(palette[..., c]), offsets, SHAPE) for c in range(3)],
    axis=-1,
  )
  with matplotlib.rc_context({**figures.STYLE, "font.size": 10}):
    figure = Figure(figsize=(47 * INCH, 16 * INCH))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-1, 46), ylim=(-1.9, 14.1), aspect="equal")
    axes.axis("off")
    draw(axes, palette, (0, 3))
    draw(axes, kernel, (21, 0))
    outline = [patheffects.withStroke(linewidth=2.5, foreground="white")]
    number = 0
    for row, start_in in enumerate(OFFSETS["input"]):
      for column, start_out in enumerate(OFFSETS["output"]):
        number += 1
        told = {"ha": "center", "va": "center", "weight": "bold", "color": INK}
        told |= {"path_effects": outline}
        axes.text(start_out + 0.5, 9 - start_in - 0.5, str(number), **told)
        axes.text(21 + 8 * column + 4, 12 - 6 * row - 3, str(number), **told)
    for x in (29, 37):
      axes.plot((x, x), (0, 12), color="white", lw=1.6)
    axes.plot((21, 45), (6, 6), color="white", lw=1.6)
    axes.annotate(
      "", (20.2, 6), (8.8, 6), arrowprops={"arrowstyle": "-|>", "color": QUIET, "lw": 2}
    )
    middle = {"ha": "center", "color": QUIET}
    axes.text(14.5, 6.5, "read from six places", va="bottom", **middle)
    axes.text(
      14.5, 5.5, "round the ring; between\ncells, interpolate", va="top", **middle
    )
    head = {"weight": "bold", "color": INK, "va": "bottom"}
    axes.text(0, 9.5, "stored: the epitome", **head)
    axes.text(21, 12.5, "generated: the kernel", **head)
    foot = {"color": QUIET, "va": "top"}
    axes.text(0, 2.5, "48 numbers, and 5\nplaces: 2 in, 3 out", **foot)
    axes.text(21, -0.5, "12 input x 24 output channels, 288 weights", **foot)
    path = Path(__file__).with_suffix(".png")
    figure.savefig(path, dpi=160, facecolor="white")
    print(path)


if __name__ == "__main__":
  main()
