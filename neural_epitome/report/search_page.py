"""The page of a search: its result as a drawing, and the front of all its choices."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tabulate import tabulate

from neural_epitome.report import figures, markup, page, search_rounds
from neural_epitome.report.search_front import LABELS, SCALES, Line, front
from neural_epitome.spaces.description import Description


def result_table(report: Mapping[str, Any]) -> str:
  """The numbers of a search's report, one in a line, as far as its stages are done."""
  rows: dict[str, Any] = {}
  if search := report.get("search"):
    for name, value in search["price"].items():
      largest = search["largest"][name]
      label = LABELS[name].partition(" (")[0]
      rows[label] = f"{value:,.6g} ({value / largest:.1%} of {largest:,.6g})"
    rows["top-1 with the supernet's weights"] = f"{search['top1']:.2%}"
    rows["choices asked for"] = f"{search['evaluations']:,}"
  if "final" in report:
    rows["top-1 trained, on the test split"] = f"{report['final']['top1']:.2%}"
  for stage in ("supernet", "search", "final"):
    if stage in report:
      rows[f"seconds of {stage}"] = f"{report[stage]['seconds']:,.0f}"
  return pairs(rows)


def pairs(rows: Mapping[str, Any]) -> str:
  """Names and values as an aligned table of two columns."""
  return tabulate(rows.items(), tablefmt="plain", disable_numparse=True)


def latency_summary(table: Any) -> dict[str, Any]:
  """The size of a latency table, and how well its sums predict whole networks."""
  here = table.circumstances
  return {
    "machine": here.machine,
    "runtime": here.runtime,
    "batch": here.batch,
    "blocks": table.count,
    "networks timed whole": table.checked,
    "slope of their time by the sum": round(table.slope, 3),
    "rank correlation": round(table.rank_correlation, 3),
  }


def write(
  directory: pathlib.Path,
  report: Mapping[str, Any],
  lines: Sequence[Line],
  size: float,
  found: Description,
  gates: Sequence[Mapping[str, Any] | None] = (),
) -> pathlib.Path:
  """Writes the page, its pictures and report.json; returns the page.

  Args:
    directory: made where it is not.
    report: of `search.job.run`.
    lines: of the log: a price by metric and `top1` of every choice.
    size: how many choices there are.
    found: the choice that is the search's result.
    gates: of each round what its gates.json holds, None if it has none.
  """
  search = report["search"]
  metric = search["metric"]
  pictures = [directory / "front.png", directory / "network.png"]
  _draw_front(lines, search, pictures[0])
  _draw_network(found, pictures[1])
  costs = [["stage", "evaluations", "seconds"]]
  for stage in ("supernet", "search", "final"):
    if stage in report:
      seconds = f"{report[stage]['seconds']:,.0f}"
      costs.append([stage, str(report[stage].get("evaluations", "")), seconds])
  prices = [
    [
      LABELS[name].partition(" (")[0],
      f"{value:,.6g}",
      f"{search['largest'][name]:,.6g}",
    ]
    for name, value in search["price"].items()
  ]
  accuracy = [["with the supernet's weights, validation", f"{search['top1']:.2%}"]]
  if "final" in report:
    accuracy.append(["trained, test", f"{report['final']['top1']:.2%}"])
  parts = [
    "<h2>Result</h2>",
    markup.table(["top-1", ""], accuracy),
    markup.table(["price", "found", "largest"], prices),
    "<h2>Network</h2>",
    markup.image(pictures[1], f"{found.unit} of every {found.place}"),
    markup.table(found.headers, found.rows, "plan"),
    "<h2>What was tried</h2>",
    markup.image(pictures[0], f"top-1 of every choice by {LABELS[metric]}"),
    *search_rounds.sections(directory, search, lines, gates),
    "<h2>Stages</h2>",
    markup.table(costs[0], costs[1:]),
  ]
  about = f"{len(lines):,} choices of {float(size):.2g}, {metric} at most "
  about += f"{search['budget']:,.6g}"
  text = markup.document(f"Search {report['experiment']}", about, parts)
  page.path(directory).write_text(text)
  (directory / "report.json").write_text(json.dumps(report, indent=2) + "\n")
  return page.path(directory)


def _draw_front(lines: Sequence[Line], search: Line, path: pathlib.Path) -> None:
  metric = search["metric"]
  scale = SCALES[metric]
  with figures.figure(path, [5.2], 3.4) as (_, [axes]):
    prices = [line[metric] / scale for line in lines]
    top1 = [100 * line["top1"] for line in lines]
    rounds = np.array([line.get("round", 0) for line in lines])
    # Other weights answered before the last round: those do not compare.
    last = rounds == rounds.max()
    before = np.flatnonzero(~last)
    if before.size:
      x, y = (np.array(values)[before] for values in (prices, top1))
      pale = {"facecolors": "none", "edgecolors": "#b9c4cf"}
      axes.scatter(x, y, s=14, label="earlier rounds", **pale)
    x, y = (np.array(values)[last] for values in (prices, top1))
    axes.scatter(x, y, c=np.arange(x.size), cmap="Blues", vmin=-x.size / 2, s=14)
    best = front([line for line, kept in zip(lines, last, strict=True) if kept], metric)
    axes.plot(
      [line[metric] / scale for line in best],
      [100 * line["top1"] for line in best],
      color=figures.RAW,
      linewidth=1.2,
      label="front",
    )
    low = search.get("window", (0.0,))[0]
    for end in (search["budget"], low) if low else (search["budget"],):
      axes.axvline(end / scale, color="#888888", linestyle=":", linewidth=1)
    axes.plot(
      [search["price"][metric] / scale],
      [100 * search["top1"]],
      marker="*",
      markersize=13,
      color=figures.EMA,
      linestyle="none",
      label="found",
    )
    axes.set_xlabel(LABELS[metric])
    axes.set_ylabel("top-1 with the supernet's weights (%)")
    dotted = "window" if low else "budget"
    axes.set_title(f"choices asked for, later ones darker; {dotted} dotted")
    axes.legend(loc="lower right")


def _draw_network(found: Description, path: pathlib.Path) -> None:
  """Places from left to right: what they have as height, of what they might have."""
  count = len(found.places)
  with figures.figure(path, [max(3.5, 0.55 * count)], 2.8) as (_, [axes]):
    for index, place in enumerate(found.places):
      if place.most:
        axes.bar(index, place.most, 0.72, fill=False, edgecolor="#b9c4cf")
      if not place.bars:
        axes.text(index, 0, "left\nout", ha="center", va="bottom", color="#5a6875")
      bottom, several = 0.0, len(place.bars) > 1
      for bar in place.bars:
        look = {"color": figures.RAW, "alpha": bar.shade, "linewidth": 0}
        axes.bar(index, bar.height, 0.72, bottom=bottom, **look)
        top = bottom + bar.height
        if several:
          style = {"ha": "center", "va": "center", "color": "white", "fontsize": 7}
          axes.text(index, (bottom + top) / 2, bar.caption, **style)
        else:
          axes.text(index, top, bar.caption, ha="center", va="bottom", fontsize=7)
        bottom = top
    heights = [
      max(place.most, sum(bar.height for bar in place.bars)) for place in found.places
    ]
    axes.set_xticks(range(count))
    axes.set_xlabel(found.place)
    axes.set_ylabel(found.unit)
    axes.set_ylim(0, 1.25 * max(heights) or 1.0)
    axes.set_title(found.title)
    axes.grid(False)
