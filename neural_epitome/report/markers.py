"""How methods look in a figure, and where points of one cost stand. Pure functions."""

from collections.abc import Sequence

import numpy as np

from neural_epitome.report import methods

# One hue a family, which its marker repeats; the first colours are of its members in
# order, the others for variants and further names.
LOOKS = {
  "architecture": ("o", ["#1c2733", "#1f5fa8", "#63a8e6", "#8fa3b8", "#3d4f7c"]),
  "fixed sampling": (
    "s",
    ["#0b6b4f", "#3fae6a", "#9bbf30", "#0d9aa5", "#72cdc4", "#6f6a1e", "#2f4f3a"],
  ),
  "other compression": ("^", ["#7446b0", "#c46fd3", "#8d6b58", "#8b95a1", "#4b2e83"]),
  "learned": ("D", ["#d1602b", "#a61e2b", "#f2a33a", "#e56a8d", "#7d3315", "#f4c08a"]),
  methods.OTHER: ("v", ["#444444", "#b58900", "#268bd2", "#6c71c4", "#859900"]),
}

# Points whose coordinates differ by less are spread, over at most SPREAD on each side.
TOGETHER, SPREAD = np.log(1.04), np.log(1.22)


def looks(names: Sequence[str]) -> dict[str, tuple[str, str]]:
  """Marker and colour by method; those of a member of a family never change."""
  markers: dict[str, tuple[str, str]] = {}
  taken: set[str] = set()
  for name in sorted(names, key=lambda n: methods.known(n) != n):
    family = methods.family(name)
    marker, colours = LOOKS[family]
    members = methods.FAMILIES.get(family, ())
    own = methods.known(name)
    first = members.index(own) if own in members else 0
    ordered = [*colours[first:], *colours[:first]]
    colour = next((c for c in ordered if c not in taken), colours[first])
    markers[name] = (marker, colour)
    taken.add(colour)
  return markers


def spread(
  values: Sequence[float], ranks: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
  """Where points are drawn: those that would coincide stand side by side.

  Args:
    values: (n,) of each point on an axis in logarithmic scale, above 0.
    ranks: (n,) order of the points that stand side by side.

  Returns:
    Coordinates, and where the group of each point begins and ends: (n,), (n, 2).
  """
  logs = np.log(np.asarray(values, float))
  order = np.argsort(logs, kind="stable")
  starts = np.flatnonzero(np.diff(logs[order], prepend=-np.inf) > TOGETHER)
  groups = np.split(order, starts[1:])
  present = [sorted({ranks[i] for i in group}) for group in groups]
  centres = [logs[group].mean() for group in groups]

  def room(number: int, neighbour: int) -> float:
    if not 0 <= neighbour < len(groups):
      return SPREAD
    gap = abs(centres[number] - centres[neighbour])
    return min(SPREAD, gap * (0.38 if len(present[neighbour]) > 1 else 0.7))

  places, edges = logs.copy(), np.zeros((len(logs), 2))
  for number, group in enumerate(groups):
    left, right = room(number, number - 1), room(number, number + 1)
    count = len(present[number])
    step = min((left + right) / max(count, 2), SPREAD / 3)
    # As near to the true place as the neighbours allow, within both rooms.
    width = step * (count - 1)
    start = np.clip(-width / 2, -left, right - width) if count > 1 else 0.0
    for i in group:
      if count > 1:
        places[i] = centres[number] + start + step * present[number].index(ranks[i])
    half = 0.5 * step if count > 1 else 0.0
    edges[group] = [places[group].min() - half, places[group].max() + half]
  return np.exp(places), np.exp(edges)
