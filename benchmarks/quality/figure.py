"""The figure of accuracy against size on CIFAR-100, a panel for new statistics."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import pages
from neural_epitome.report import figures

PATH = pages.DOCS.parent / "figures" / "cifar100.png"
OURS = ("best", "best_examples")
# Arms with name, colour and marker. The first lies on top.
STYLES = {
  "best_examples": (("best_examples",), "ours, images seen", "#12355b", "o"),
  "best": (("best",), "ours", "#1f5fa8", "o"),
  "nnc_small_finer": (
    ("nnc_small_finer",),
    "NNC, small kernels finer",
    "#d1602b",
    "s",
  ),
  "nnc": (("nnc",), "NNC", "#e0a17f", "s"),
  "product_quantisation_weighted": (
    ("product_quantisation_weighted",),
    "product quantisation",
    "#8a5fb0",
    "D",
  ),
  "rounded": (
    ("int8", "int4", "int3", "int2"),
    "int8, int4, int3, int2",
    "#777777",
    "x",
  ),
}
PANELS = (("top1", "as it is"), ("top1_remeasured", "statistics measured anew"))


def draw(rows: Sequence[Mapping[str, Any]], path: Path = PATH) -> Path:
  """Writes the figure of results/quality.csv; returns its path."""
  rows = [row for row in rows if row["network"] == "plain" and row["tested"] == "test"]
  dense = [float(row["top1"]) for row in rows if row["arm"] == "dense"]
  with figures.figure(path, [4.6] * len(PANELS), 3.9) as (_, panels):
    for (column, title), axes in zip(PANELS, panels, strict=True):
      _panel(axes, [row for row in rows if row["epochs"] == "0"], column)
      axes.axhline(statistics.mean(dense), color="black", linewidth=1, dashes=(4, 3))
      axes.text(9.5, statistics.mean(dense) + 0.9, "as trained", fontsize=8)
      axes.set(title=title, ylim=(0, 47))
    panels[0].set_ylabel("top-1 of CIFAR-100, %")
    panels[0].legend(fontsize=7.5, loc="lower left")
  return path


def _panel(axes: Any, rows: Sequence[Mapping[str, Any]], column: str) -> None:
  from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

  for order, (key, (arms, label, color, marker)) in enumerate(STYLES.items()):
    points: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in rows:
      if row["arm"] in arms and row[column]:
        point = float(row["bytes_ratio"]), float(row[column])
        points.setdefault((row["arm"], row["size"]), []).append(point)
    if not points:
      continue
    found = sorted(
      (statistics.mean(sizes), statistics.mean(tops), _spread(tops))
      for sizes, tops in (zip(*seeds, strict=True) for seeds in points.values())
    )
    x, y, spread = zip(*found, strict=True)
    is_ours = key in OURS
    axes.errorbar(
      x,
      y,
      yerr=spread,
      label=label,
      color=color,
      marker=marker,
      capsize=2,
      markersize=6 if is_ours else 4,
      linewidth=2.6 if is_ours else 1.0,
      elinewidth=1.0,
      zorder=20 - order,
    )
  ratios = (4, 8, 16, 25, 40)
  axes.set_xscale("log")
  axes.xaxis.set_major_locator(FixedLocator(ratios))
  axes.xaxis.set_minor_locator(NullLocator())
  axes.xaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}x"))
  axes.set(xlim=(3.5, 46), xlabel="times smaller than float32")


def _spread(values: Sequence[float]) -> float:
  return statistics.stdev(values) if len(values) > 1 else 0.0
