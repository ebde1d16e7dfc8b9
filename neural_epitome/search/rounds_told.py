"""What is told of the rounds of a search: in found.json, and while they run."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from neural_epitome.strategies import Problem, Round, Strategy
from neural_epitome.strategies.archive import ParetoArchive


def of(asked: Round) -> dict[str, Any]:
  """What found.json says of a round."""
  told = {"options": asked.space.pools, "kept": asked.kept}
  return told if math.isnan(asked.coverage) else told | {"coverage": asked.coverage}


def line(rounds: Sequence[Mapping[str, Any]], kind: str) -> str:
  """A line on the round that begins."""
  last, number = rounds[-1], len(rounds)
  in_use = sum(map(len, last["options"]))
  line = f"-- {kind}, round {number}: {in_use} options in use"
  if any(last["kept"]):
    line += f", {sum(map(len, last['kept']))} of them of what was retained"
  if "coverage" in last:
    line += f"; {last['coverage']:.0%} of all were in use so far"
  return line + "."


def front(
  space: Any, problem: Problem, strategy: Strategy, answers: Mapping[Any, float]
) -> list[list[list[int]]]:
  """The options that each architecture on the front uses, cheapest first."""
  low, _ = strategy.price_range(problem)
  measured = [
    (arch, {"price": problem.price(arch), "top1": top1})
    for arch, top1 in answers.items()
    if low <= problem.price(arch) and problem.fits(arch)
  ]
  points = ParetoArchive(("price",), ("top1",)).add(measured).points
  return [space.used(point.arch) for point in points]
