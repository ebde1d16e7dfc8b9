"""The page of a search: its result as a drawing, and the front of all its choices."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tabulate import tabulate

from neural_epitome.models.chain import OPERATIONS
from neural_epitome.report import figures, markup, page
from neural_epitome.spaces.arch import Arch
from neural_epitome.spaces.chain_space import ChainSpace
from neural_epitome.strategies.archive import non_dominated

Line = Mapping[str, Any]
HEADERS = ["block", "input", "window", "width", "of", "operation", "rates", "bits"]
LABELS = {
  "madds": "multiply-adds (millions)",
  "parameters": "stored parameters (thousands)",
  "bytes": "stored bytes (thousands)",
  "latency": "latency (ms)",
}
SCALES = {"madds": 1e6, "parameters": 1e3, "bytes": 1e3, "latency": 1.0}


def arch_rows(space: ChainSpace, arch: Arch) -> list[list[str]]:
  """One row for each block, and a last one for head and classifier.

  The row of a block that is left out says so.
  """
  rows = []
  for index, (position, inputs) in enumerate(
    zip(space.positions, space.inputs(arch), strict=False)
  ):
    width = int(arch.width[index])
    read = f"{position.size}x{position.size}x{inputs}"
    if not width:
      rows.append([str(index), read, "", "left out", str(position.largest), "", "", ""])
      continue
    window = int(arch.window[index])
    rows.append(
      [
        str(index),
        read,
        f"{window}x{window}" + (f" /{position.stride}" if position.stride > 1 else ""),
        str(width),
        str(position.largest),
        OPERATIONS[int(arch.operation[index])],
        *_stored(arch, index),
      ]
    )
  position = space.positions[-1]
  size = -(-position.size // position.stride)
  read = f"{size}x{size}x{space.inputs(arch)[-1]}"
  width = str(space.head)
  return [*rows, ["head", read, "", width, width, "classifier", *_stored(arch, -1)]]


def _stored(arch: Arch, index: int) -> list[str]:
  """Rates and bits of two kernels."""
  return [", ".join(map(str, gene[index].tolist())) for gene in (arch.rate, arch.bits)]


def arch_table(space: ChainSpace, arch: Arch) -> str:
  """The rows of `arch_rows` as an aligned table for a terminal."""
  align = ("right", "left", "left", "right", "right", "left", "left", "left")
  return tabulate(
    arch_rows(space, arch), HEADERS, colalign=align, disable_numparse=True
  )


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
    "blocks": len(table.blocks) + len(table.ends),
    "networks timed whole": table.checked,
    "slope of their time by the sum": round(table.slope, 3),
    "rank correlation": round(table.rank_correlation, 3),
  }


def front(lines: Sequence[Line], metric: str) -> list[Line]:
  """The lines of the Pareto front, cheapest first; see `archive.ParetoArchive`.

  Args:
    lines: of the log: a price by metric and `top1` of every choice.
    metric: of the price.
  """
  # A point of the drawing is one line's, also where several have the same values.
  points = {(line[metric], -line["top1"]): line for line in reversed(lines)}
  kept = non_dominated(list(points))
  by_point = list(points.values())
  return sorted((by_point[k] for k in kept), key=lambda line: line[metric])


def write(
  directory: pathlib.Path,
  report: Mapping[str, Any],
  lines: Sequence[Line],
  space: ChainSpace,
  arch: Arch,
) -> pathlib.Path:
  """Writes the page, its pictures and report.json; returns the page.

  Args:
    directory: made where it is not.
    report: of `search.job.run`.
    lines: of the log: a price by metric and `top1` of every choice.
    space: of the choices.
    arch: the choice that is the search's result.
  """
  search = report["search"]
  metric = search["metric"]
  pictures = [directory / "front.png", directory / "network.png"]
  _draw_front(lines, search, pictures[0])
  _draw_network(space, arch, pictures[1])
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
    markup.image(pictures[1], "width and window of every block"),
    markup.table(HEADERS, arch_rows(space, arch), "plan"),
    "<h2>What was tried</h2>",
    markup.image(pictures[0], f"top-1 of every choice by {LABELS[metric]}"),
    "<h2>Stages</h2>",
    markup.table(costs[0], costs[1:]),
  ]
  about = f"{len(lines):,} choices of {float(space.size):.2g}, {metric} at most "
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
    axes.axvline(search["budget"] / scale, color="#888888", linestyle=":", linewidth=1)
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
    axes.set_title("choices asked for, later ones darker; budget dotted")
    axes.legend(loc="lower right")


def _draw_network(space: ChainSpace, arch: Arch, path: pathlib.Path) -> None:
  """Blocks from left to right: hidden channels as height, of what they might be."""
  count = len(space.positions)
  with figures.figure(path, [max(3.5, 0.55 * count)], 2.8) as (_, [axes]):
    shades = {
      w: 0.35 + 0.65 * i / max(1, len(space.windows) - 1)
      for i, w in enumerate(sorted(space.windows))
    }
    for index, position in enumerate(space.positions):
      width = int(arch.width[index])
      axes.bar(index, position.largest, 0.72, fill=False, edgecolor="#b9c4cf")
      if not width:
        axes.text(index, 2, "left\nout", ha="center", va="bottom", color="#5a6875")
        continue
      window = int(arch.window[index])
      axes.bar(index, width, 0.72, color=figures.RAW, alpha=shades[window])
      rates, bits = arch.rate[index].tolist(), arch.bits[index].tolist()
      caption = f"{window}x{window}"
      caption += f"\n1/{rates[0]}, 1/{rates[1]}" if max(rates) > 1 else ""
      caption += f"\n{bits[0]}, {bits[1]} bit" if min(bits) < 32 else ""
      axes.text(index, width, caption, ha="center", va="bottom", fontsize=7)
    axes.set_xticks(range(count))
    axes.set_xlabel("block")
    axes.set_ylabel("hidden channels")
    axes.set_ylim(0, 1.25 * max(p.largest for p in space.positions))
    axes.set_title("outlined: what it was chosen from")
    axes.grid(False)
