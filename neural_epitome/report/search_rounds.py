"""What the page of a search says of its rounds: fronts, coverage, gates over time."""

import html
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neural_epitome.report import figures, markup
from neural_epitome.report.search_front import LABELS, SCALES, Line, front

Gates = Mapping[str, Any]


def sections(
  directory: pathlib.Path,
  search: Mapping[str, Any],
  lines: Sequence[Line],
  gates: Sequence[Gates | None],
) -> list[str]:
  """The parts of the page; none for a search without rounds.

  Args:
    directory: where pictures are drawn.
    search: what found.json holds.
    lines: of the log.
    gates: of each round, see `search_page.write`.
  """
  notes = [f"<p>{html.escape(text)}</p>" for text in search.get("warnings", ())]
  rounds = search.get("rounds", ())
  if not rounds:
    return notes
  fronts, metric = directory / "fronts.png", search["metric"]
  _draw_fronts(search, lines, fronts)
  table = _rows(search, lines)
  parts = [
    "<h2>Rounds</h2>",
    *notes,
    markup.image(fronts, f"the front of every round by {LABELS[metric]}"),
    "<p>Weights begin anew in every round: accuracies of two rounds do not compare."
    "</p>",
    markup.table(table[0], table[1:]),
  ]
  learned = [
    (number, own) for number, own in enumerate(gates, start=1) if own is not None
  ]
  if learned:
    picture = directory / "gates.png"
    _draw_gates(learned, rounds, picture)
    parts += [
      "<h3>Gates over time</h3>",
      "<p>Of every round, how likely each operation of a cell is to be on, from its "
      "first step to its last; white was dropped.</p>",
      markup.image(picture, "probabilities of gates over the steps of every round"),
    ]
  return parts


def _inside(search: Mapping[str, Any], lines: Sequence[Line], number: int) -> list:
  """The lines of a round that are within the window."""
  low, high = search.get("window", (0.0, search["budget"]))
  metric = search["metric"]
  # What costs just the lower end is out by rounding, or in.
  return [
    line for line in lines if line["round"] == number and low <= line[metric] <= high
  ]


def _rows(search: Mapping[str, Any], lines: Sequence[Line]) -> list[list[str]]:
  header = ["round", "in use", "retained", "seen of all", "scored", "in the window"]
  rows = [[*header, "on the front", "best top-1"]]
  for number, of_round in enumerate(search["rounds"], start=1):
    inside = _inside(search, lines, number)
    scored = sum(line["round"] == number for line in lines)
    coverage = of_round.get("coverage")
    rows.append(
      [
        str(number),
        f"{sum(map(len, of_round['options'])):,}",
        f"{sum(map(len, of_round['kept'])):,}",
        "" if coverage is None else f"{coverage:.0%}",
        f"{scored:,}",
        f"{len(inside):,}",
        f"{len(front(inside, search['metric'])):,}" if inside else "0",
        f"{max(line['top1'] for line in inside):.2%}" if inside else "",
      ]
    )
  return rows


def _shades(count: int) -> list[Any]:
  import matplotlib

  return [matplotlib.colormaps["Blues"](x) for x in np.linspace(0.35, 1.0, count)]


def _draw_fronts(
  search: Mapping[str, Any], lines: Sequence[Line], path: pathlib.Path
) -> None:
  """Fronts of the rounds, and beside them how much of the pool was seen."""
  metric, rounds = search["metric"], search["rounds"]
  colours = _shades(len(rounds))
  with figures.figure(path, [4.6, 2.8], 3.2) as (_, [axes, right]):
    for number, colour in enumerate(colours, start=1):
      inside = _inside(search, lines, number)
      best = front(inside, metric) if inside else []
      x = [line[metric] / SCALES[metric] for line in best]
      y = [100 * line["top1"] for line in best]
      axes.plot(x, y, color=colour, marker="o", ms=3.5, label=f"round {number}")
    axes.set_xlabel(LABELS[metric])
    axes.set_ylabel("top-1 with the round's weights (%)")
    axes.set_title("fronts in the window")
    axes.legend(loc="best", fontsize=7)
    numbers = np.arange(1, len(rounds) + 1)
    seen = [100 * of_round.get("coverage", np.nan) for of_round in rounds]
    right.bar(numbers, seen, 0.6, color=colours)
    right.set(title="operations seen (%)", xlabel="round", ylim=(0, 105))
    right.set_xticks(numbers)


def _draw_gates(
  learned: Sequence[tuple[int, Gates]],
  rounds: Sequence[Mapping[str, Any]],
  path: pathlib.Path,
) -> None:
  """A panel a round: a line of colour a gate, time from left to right."""
  heights = [sum(map(len, own["operations"])) for _, own in learned]
  height = max(2.6, 1.1 + 0.11 * max(heights))
  widths = [2.4] * len(learned)
  with figures.figure(path, [*widths, 0.14], height) as (drawing, [*panels, scale]):
    for (number, own), axes in zip(learned, panels, strict=True):
      history = [[p for row in now for p in row] for now in own["history"]]
      values = np.ma.masked_equal(np.array(history).T, 0.0)
      shown = {"vmin": 0.0, "vmax": 1.0, "cmap": "RdBu", "aspect": "auto"}
      image = axes.imshow(values, interpolation="nearest", **shown)
      labels = [k for row in own["operations"] for k in row]
      axes.set_yticks(range(len(labels)), labels, fontsize=5)
      ends = np.cumsum([len(row) for row in own["operations"]])
      for end in ends[:-1]:
        axes.axhline(end - 0.5, color="#333333", linewidth=0.6)
      kept = rounds[number - 1]["kept"]
      for row, (operation, cell) in enumerate(_places(own)):
        if cell < len(kept) and operation in kept[cell]:
          axes.get_yticklabels()[row].set_fontweight("bold")
      axes.set(title=f"round {number}", xlabel="time")
      axes.set_xticks([])
      axes.grid(False)
    panels[0].set_ylabel("operations by cell; bold were retained")
    drawing.colorbar(image, cax=scale)
    scale.set_title("on", fontsize=8)
    scale.yaxis.set_ticks_position("left")
    scale.grid(False)


def _places(own: Gates) -> list[tuple[int, int]]:
  """Operation and cell of every line."""
  return [(k, cell) for cell, row in enumerate(own["operations"]) for k in row]
