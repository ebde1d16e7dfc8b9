"""The figure of accuracy against size, a panel a network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import pages
from neural_epitome.report import figures

PATH = pages.DOCS.parent / "figures" / "crepe.png"
OURS = "best"
# Method, as it is named, with its colour and marker. The first lies on top.
STYLES = {
  "best": ("ours, no data", "#1f5fa8", "o"),
  "best, distilled": ("ours, then 25 s of distillation", "#0b2545", "*"),
  "best, measured": ("ours, sensitivity measured", "#5fa0e0", "o"),
  "nnc": ("NNC", "#d1602b", "s"),
  "palette": ("palettes", "#3c8d53", "^"),
  "product quantisation": ("product quantisation", "#8a5fb0", "D"),
  "uniform scalars": ("entropy-coded scalars", "#b0892c", "v"),
  "round to nearest": ("round to nearest", "#777777", "x"),
  "low rank": ("low rank, int8", "#c2569b", "+"),
}
_LOWEST = 65.0  # percent; what lies below leaves the picture


def draw(rows: Sequence[Mapping[str, Any]], path: Path = PATH) -> Path:
  """Writes the figure of results/crepe.csv; returns its path."""
  names = [row["network"] for row in rows if row["method"] == "dense"]
  with figures.figure(path, [4.6] * len(names), 3.9) as (_, panels):
    for name, axes in zip(names, panels, strict=True):
      _panel(axes, name, [row for row in rows if row["network"] == name])
    panels[0].set_ylabel("tones right, %")
    panels[0].legend(fontsize=7.5, loc="lower right")
  return path


def _panel(axes: Any, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
  from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

  [dense] = [row for row in rows if row["method"] == "dense"]
  axes.axhline(float(dense["right_percent"]), color="black", linewidth=1, dashes=(4, 3))
  whole = int(dense["bytes"])
  height = float(dense["right_percent"]) + 0.7
  axes.text(whole / 2.3, height, "as it was", fontsize=8, va="bottom", ha="right")
  for order, (method, (label, color, marker)) in enumerate(STYLES.items()):
    points = sorted(
      (int(row["bytes"]), float(row["right_percent"]))
      for row in rows
      if row["method"] == method
    )
    if not points:
      continue
    is_ours = method == OURS
    axes.plot(
      *zip(*points, strict=True),
      label=label,
      color=color,
      marker=marker,
      markersize=6 if is_ours else 4,
      linewidth=2.6 if is_ours else 1.0,
      zorder=20 - order,
      alpha=1.0 if is_ours else 0.85,
    )
  unit, letter = (1e6, "MB") if whole > 4e7 else (1e3, "kB")
  ratios = (4, 10, 20, 40)
  axes.set_xscale("log")
  axes.xaxis.set_major_locator(FixedLocator([whole / ratio for ratio in ratios]))
  axes.xaxis.set_minor_locator(NullLocator())
  axes.xaxis.set_major_formatter(
    FuncFormatter(
      lambda size, _: f"{size / unit:.3g} {letter}\n{round(whole / size)}x smaller"
    )
  )
  axes.set(
    title=f"CREPE {name}, {whole / 1e6:.3g} MB",
    xlim=(whole / 46, whole / 2.2),
    ylim=(_LOWEST, 100.5),
  )
