"""Figure and tables of docs/results/strategies.md, from results/strategies.csv."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import pages
from neural_epitome.report import figures
from neural_epitome.report.comparison import MINUS

PAGE = pages.DOCS / "strategies.md"
FIGURE = pages.DOCS.parent / "figures" / "strategies.png"
CONTROL = "random"
# By the name of a strategy's rows: as people call it, and its colour.
NAMES = {
  "random": ("random search", "#555555"),
  "evolution": ("evolution", "#1f5fa8"),
  "netadapt": ("descent over several genes", "#d1602b"),
  "netadapt_single": ("descent over single genes", "#b0892c"),
  "subset_evolution": ("subset evolution", "#8a5fb0"),
  "reinforce": ("REINFORCE", "#3c8d53"),
  "reinforce_natural": ("REINFORCE, natural gradient", "#7cc48f"),
}
TITLES = {
  "nk_1": "NK landscape, K = 1",
  "nk_4": "NK landscape, K = 4",
  **{
    name: f"NAS-Bench-Graph, {name}"
    for name in ("cora", "computers", "physics", "arxiv")
  },
}
_SPARE = ("#c2569b", "#5fa0e0", "#777777")

Row = Mapping[str, Any]


def parts(rows: Sequence[Row]) -> dict[str, str]:
  """By the name of their markers, the page's tables."""
  return {
    "regret": _table(rows, "regret"),
    "tested_regret": _table(rows, "tested_regret"),
    "ahead": _table(rows, "ahead"),
    "as_many": _table([row for row in rows if _is_asked(row, rows)], "ahead"),
  }


def _is_asked(row: Row, rows: Sequence[Row]) -> bool:
  """Whether a row is of no more questions than show what a strategy ended with."""
  counts = sorted({int(other["questions"]) for other in rows})
  enough = [count for count in counts if count >= float(row["asked"])]
  return int(row["questions"]) <= (enough or counts[-1:])[0]


def _table(rows: Sequence[Row], column: str) -> str:
  """After the last question: a line a strategy, a column a table, in percent."""
  tables = list(dict.fromkeys(row["table"] for row in rows))
  ordered = sorted(rows, key=lambda row: int(row["questions"]))
  at_end = {(row["strategy"], row["table"]): row for row in ordered}
  names = [name for name in _names(rows) if column != "ahead" or name != CONTROL]
  body = [
    [
      _look(name, rows)[0],
      *(_cell(at_end.get((name, table)), column) for table in tables),
    ]
    for name in names
  ]
  return pages.markdown(["", *(f"`{table}`" for table in tables)], body)


def _cell(row: Row | None, column: str) -> str:
  if row is None:
    return ""
  sign = "+" if column == "ahead" else ""
  mean, low, high = (
    f"{100 * float(row[column + suffix]):{sign}.2f}".replace("-", MINUS)
    for suffix in ("", "_low", "_high")
  )
  return f"{mean} [{low}, {high}]"


def _names(rows: Sequence[Row]) -> list[str]:
  """The strategies: those that have a name here, in its order, and then the others."""
  found = dict.fromkeys(row["strategy"] for row in rows)
  return [*(name for name in NAMES if name in found), *(found.keys() - NAMES.keys())]


def _look(name: str, rows: Sequence[Row]) -> tuple[str, str]:
  """Name and colour of a strategy."""
  if name in NAMES:
    return NAMES[name]
  unnamed = [other for other in _names(rows) if other not in NAMES]
  return name, _SPARE[unnamed.index(name) % len(_SPARE)]


def draw(rows: Sequence[Row], path: Path = FIGURE) -> Path:
  """Writes the figure: a panel a table, regret by questions; returns its path."""
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
      _panel(axes, table, rows)
    for axes in panels[len(tables) :]:
      axes.remove()
    handles, labels = panels[0].get_legend_handles_labels()
    drawing.legend(handles, labels, loc="outside lower center", ncols=4)
    drawing.savefig(path, dpi=110)
  return path


def _panel(axes: Any, table: str, rows: Sequence[Row]) -> None:
  from matplotlib.ticker import LogLocator, NullFormatter

  for name in _names(rows):
    of_both = [r for r in rows if r["table"] == table and r["strategy"] == name]
    if not of_both:
      continue
    label, color = _look(name, rows)
    questions = [int(row["questions"]) for row in of_both]
    mean, low, high = (
      [100 * float(row[f"regret{suffix}"]) for row in of_both]
      for suffix in ("", "_low", "_high")
    )
    is_control = name == CONTROL
    style = {"linewidth": 2.2 if is_control else 1.4, "zorder": 3 - is_control}
    axes.plot(questions, mean, color=color, label=label, **style)
    axes.fill_between(questions, low, high, color=color, alpha=0.18, linewidth=0)
  axes.set(xscale="log", yscale="log", title=TITLES.get(table, table))
  axes.set(xlabel="questions", ylabel="behind the best, %")
  axes.xaxis.set_major_formatter("{x:.0f}")
  axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
  axes.yaxis.set_major_formatter("{x:g}")
  axes.yaxis.set_minor_formatter(NullFormatter())


def write(rows: Sequence[Row]) -> None:
  """Writes tables and figure; prints their paths."""
  print(draw(rows))
  pages.write(PAGE, parts(rows))
