"""The figure of docs/results/strategies.md: regret by the number of questions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import pages
from neural_epitome.report import figures

PATH = pages.DOCS.parent / "figures" / "strategies.png"
CONTROL = "random"
# Of the control, and of those that rank first; all others are thin and grey.
_CONTROL, _OTHERS = "#222222", "#c4c4c4"
_COLOURS = ("#1f5fa8", "#d1602b", "#3c8d53", "#8a5fb0", "#b0892c")
TITLES = {
  "nk_1": "NK landscape, K = 1",
  "nk_4": "NK landscape, K = 4",
  "chain": "chain on CIFAR-100",
  **{
    name: f"NAS-Bench-Graph, {name}"
    for name in ("cora", "computers", "physics", "arxiv")
  },
}
_SPARE = ("#c2569b", "#5fa0e0", "#777777")

Row = Mapping[str, Any]


def draw(
  rows: Sequence[Row],
  ranked: Sequence[str],
  names: Mapping[str, str],
  path: Path = PATH,
) -> Path:
  """Writes the figure, a panel a table; returns its path.

  Args:
    rows: of the results.
    ranked: the strategies, the best first: only the first few have a colour.
    names: of strategies, as people call them.
    path: of the picture.
  """
  import matplotlib
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  tables = list(dict.fromkeys(row["table"] for row in rows))
  columns = min(3, len(tables))
  lines = -(-len(tables) // columns)
  with matplotlib.rc_context(figures.STYLE):
    drawing = Figure(figsize=(3.5 * columns, 2.8 * lines + 0.4), layout="constrained")
    FigureCanvasAgg(drawing)
    panels = drawing.subplots(lines, columns, squeeze=False).ravel()
    for table, axes in zip(tables, panels, strict=False):
      _panel(axes, [row for row in rows if row["table"] == table], ranked, names)
      axes.set_title(TITLES.get(table, table))
    for axes in panels[len(tables) :]:
      axes.remove()
    handles, labels = panels[0].get_legend_handles_labels()
    drawing.legend(handles[::-1], labels[::-1], loc="outside lower center", ncols=4)
    drawing.savefig(path, dpi=110)
  return path


def _panel(
  axes: Any, rows: Sequence[Row], ranked: Sequence[str], names: Mapping[str, str]
) -> None:
  from matplotlib.ticker import LogLocator, NullFormatter

  first = [name for name in ranked if name != CONTROL][: len(_COLOURS)]
  coloured = dict(zip(first, _COLOURS, strict=False)) | {CONTROL: _CONTROL}
  others = [name for name in ranked if name not in coloured]
  # What is drawn later lies above.
  for name in [*others, CONTROL, *reversed(first)]:
    own = [row for row in rows if row["strategy"] == name]
    if not own:
      continue
    questions = [int(row["questions"]) for row in own]
    mean, low, high = (
      [100 * float(row[f"regret{suffix}"]) for row in own]
      for suffix in ("", "_low", "_high")
    )
    if name in coloured:
      color = coloured[name]
      axes.plot(questions, mean, color=color, label=names.get(name, name))
      axes.fill_between(questions, low, high, color=color, alpha=0.18, linewidth=0)
    else:
      label = "the others" if name == others[0] else None
      axes.plot(questions, mean, color=_OTHERS, linewidth=0.8, label=label)
  axes.set(xscale="log", yscale="log")
  axes.set(xlabel="questions", ylabel="behind the best, %")
  axes.xaxis.set_major_formatter("{x:.0f}")
  axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
  axes.yaxis.set_major_formatter("{x:g}")
  axes.yaxis.set_minor_formatter(NullFormatter())
