"""The choices of a search that no other is better than, by any number of objectives."""

import dataclasses
import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from neural_epitome import codec
from neural_epitome.errors import UserError
from neural_epitome.spaces.arch import ArchEncoding
from neural_epitome.spaces.space import Space


@dataclasses.dataclass(frozen=True)
class Point:
  """A choice and what was measured of it.

  Attributes:
    arch: the choice.
    values: of the objectives, those that are minimised first; see `ParetoArchive`.
  """

  arch: ArchEncoding
  values: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class ParetoArchive:
  """A set of points none of which dominates another; adding returns a new archive.

  A point dominates another one if it is at least as good by every objective and better
  by one. So points that tie by all objectives stay side by side, and what an archive
  holds does not depend on the order in which points were added. A choice that was
  measured twice is two points. Measurements by different weights do not compare: they
  belong into archives of their own.

  Attributes:
    minimised: names of the objectives of which less is better.
    maximised: names of those of which more is better.
    points: that no other dominates, in the order of their values, the best by the first
      objective first; those that tie in the order of `ArchEncoding.key`.
  """

  minimised: tuple[str, ...] = ()
  maximised: tuple[str, ...] = ()
  points: tuple[Point, ...] = ()

  @property
  def objectives(self) -> tuple[str, ...]:
    """The names in the order of a point's values."""
    return (*self.minimised, *self.maximised)

  def add(
    self, measured: Iterable[tuple[ArchEncoding, Mapping[str, float]]]
  ) -> "ParetoArchive":
    """The archive with more points, without those that are dominated now.

    Args:
      measured: choices, each with its measurements by name: the record of a log, say.
        Names that are no objective are passed over.

    Raises:
      UserError: if an objective is missing or not a finite number.
    """
    points = {*self.points, *(Point(a, self._values(v)) for a, v in measured)}
    order = sorted(points, key=lambda point: (*self._costs(point), point.arch.key))
    kept = non_dominated(np.array([self._costs(point) for point in order]))
    front = tuple(order[index] for index in kept)
    return dataclasses.replace(self, points=front)

  def measured(self, point: Point) -> dict[str, float]:
    """A point's values by name."""
    return dict(zip(self.objectives, point.values, strict=True))

  def to_json(self) -> dict[str, Any]:
    """The objectives, and of every point its choice and values by name."""
    points = [{"arch": p.arch.to_json()} | self.measured(p) for p in self.points]
    names = {"minimised": list(self.minimised), "maximised": list(self.maximised)}
    return names | {"points": points}

  @classmethod
  def from_json(
    cls, data: Any, space: Space, where: str = "archive"
  ) -> "ParetoArchive":
    """Reads what `to_json` wrote; points that others dominate are left out.

    Args:
      data: JSON-ready.
      space: of the choices.
      where: names the data in errors.

    Raises:
      UserError: if it is no archive of choices of this space.
    """
    if not isinstance(data, Mapping) or not isinstance(data.get("points"), list):
      raise UserError(f"{where} must have minimised, maximised and points.")
    minimised, maximised = (
      codec.decode(tuple[str, ...], data.get(name), f"{where}.{name}")
      for name in ("minimised", "maximised")
    )
    rows = codec.decode(
      tuple[Mapping[str, Any], ...], data["points"], f"{where}.points"
    )
    measured = [
      (space.from_json(row.get("arch"), f"{where}.points[{index}].arch"), row)
      for index, row in enumerate(rows)
    ]
    return cls(minimised, maximised).add(measured)

  def _values(self, measured: Mapping[str, float]) -> tuple[float, ...]:
    for name in self.objectives:
      value = measured.get(name)
      if not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise UserError(
          f"The objective {name}={value!r} of a choice must be a finite number."
        )
    return tuple(float(measured[name]) for name in self.objectives)

  def _costs(self, point: Point) -> tuple[float, ...]:
    """Values of which less is better."""
    count = len(self.minimised)
    return (*point.values[:count], *(-value for value in point.values[count:]))


def non_dominated(costs: np.ndarray | Sequence[Sequence[float]]) -> list[int]:
  """Indices of the rows that no other row dominates, in their order.

  Args:
    costs: (points, objectives), of all of which less is better. Equal rows do not
      dominate each other.
  """
  costs = np.asarray(costs, float)
  return [
    index
    for index, row in enumerate(costs)
    if not np.any(np.all(costs <= row, axis=1) & np.any(costs < row, axis=1))
  ]
