"""What a strategy asks, answered: the loop that every search runs, and its log."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from neural_epitome.runs.progress import bar
from neural_epitome.spaces.arch import ArchEncoding
from neural_epitome.spaces.space import Space
from neural_epitome.strategies import Learned, Problem, Round, Strategy

Record = dict[str, Any]


class Log:
  """The choices that were evaluated: one JSON line each, in the order of evaluation.

  A search that is begun again asks the same questions, and is answered from here.
  """

  def __init__(self, path: Path, space: Space):
    """Reads what is there; a last line that was cut short is dropped."""
    self._path, self.lines = path, []
    self._known: dict[tuple[int, ArchEncoding], Record] = {}
    if not path.exists():
      return
    text = path.read_text(encoding="utf-8")
    whole, _, cut = text.rpartition("\n")
    for line in whole.splitlines():
      record = json.loads(line)
      self.lines.append(record)
      arch = space.from_json(record["arch"], str(path))
      self._known[record.get("round", 0), arch] = record
    if cut and jax.process_index() == 0:
      path.write_text(whole + "\n" if whole else "", encoding="utf-8")

  @property
  def rounds(self) -> set[int]:
    """The rounds whose weights have answered something."""
    return {number for number, _ in self._known}

  def record(
    self, arch: ArchEncoding, measure: Callable[[Any], Record], number: int = 0
  ) -> Record:
    """The record of a choice: from the log, or measured now and written to it.

    Args:
      arch: the choice.
      measure: what is written of it.
      number: of the round whose weights answer.
    """
    if (known := self._known.get((number, arch))) is not None:
      return known
    begin = time.monotonic()
    answer = {"round": number, "arch": arch.to_json()} | measure(arch)
    answer["seconds"] = round(time.monotonic() - begin, 3)
    self.lines.append(answer)
    self._known[number, arch] = answer
    if jax.process_index() == 0:
      with self._path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(answer) + "\n")
        file.flush()
    return answer


def ask_all(
  problem: Problem,
  strategy: Strategy,
  answer: Callable[[Any], float],
  train: Callable[[Round], Learned | None] | None = None,
  *,
  quiet: bool = True,
) -> dict[Any, float]:
  """Every choice that a strategy asks for, in that order, with its answer.

  Of a strategy that trains anew as it goes, only the choices of its last round are
  returned: the answers before are of other weights. Of one that says of which choices
  the result is one, only those.

  Args:
    problem: what is searched for.
    strategy: the search method.
    answer: how good a choice is; called once for each, and again after each round.
    train: trains the weights of a round, and returns what was learned beside them; for
      a strategy that `trains`.
    quiet: shows no progress.
  """
  answers: dict[Any, float] = {}
  questions = strategy.search(problem)
  expected, best = strategy.expected(problem), float("nan")
  with bar(expected, "choices", quiet) as shown:
    sent: Any = None
    while True:
      try:
        batch = questions.send(sent)
      except StopIteration as end:
        kept = answers if end.value is None else end.value
        return {arch: answers[arch] for arch in kept}
      if isinstance(batch, Round):
        assert train is not None, "for a strategy that trains"
        sent = train(batch)
        answers, best = {}, float("nan")
        continue
      for arch in batch:
        if arch not in answers:
          answers[arch] = answer(arch)
        if problem.fits(arch) and not answers[arch] <= best:
          best = answers[arch]
        shown.update()
      if batch:
        price = f"price {problem.price(batch[0]):.3g} of {problem.budget:.3g}"
        shown.set_postfix_str(f"{price}, best {best:.4f}", False)
      sent = [answers[arch] for arch in batch]


def best(problem: Problem, answers: dict[Any, float]) -> Any | None:
  """The best choice within the budget, of equals the cheapest; None if none fits."""
  fitting = [arch for arch in answers if problem.fits(arch)]
  return max(
    fitting, key=lambda arch: (answers[arch], -problem.price(arch)), default=None
  )
