"""The header of an experiment: its docstring, whose last lines say what it costs.

    Parameters: 1,167,440 stored of 2,236,106
    MAdds: 12.8M, 6.7M folded
    Top-1: 81.4 ± 0.3%, three seeds (accuracy_embedded.csv)
    Time: 339 s on one core (accuracy_embedded.csv); 255 s on two cores (main_job.csv)
    Command:
      python -m neural_epitome.main --experiment=mbv2_epitome

A dense network has its parameters alone, and nothing is said of folding where it saves
nothing. What was not measured says `not run` or `not measured`, top-1 with the reason.
Files are those of benchmarks/results; names behind one are its strategies, whose
seconds add up.
"""

import ast
import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

NAMES = ("Parameters", "MAdds", "Top-1", "Time", "Command")
_FIELD = re.compile(rf"^({'|'.join(NAMES)}):[ ]?(.*(?:\n[ ]+.*)*)$", re.MULTILINE)
_SOURCE = r"\((?P<file>\w+\.csv)(?:, (?P<rows>[\w+ ]+))?\)"
_TOP1 = re.compile(
  r"(?P<mean>[\d.]+) ± (?P<spread>[\d.]+)%, (?P<seeds>\w+) seeds " + _SOURCE
)
_TIME = re.compile(r"(?P<seconds>\d+) s on (?P<cores>\w+) cores? " + _SOURCE)
_ABSENT = re.compile(r"not (run here|measured)(: .+)?")
COUNTS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}


@dataclasses.dataclass(frozen=True)
class Source:
  """Rows of a table that stand for an experiment: a file, and strategies in it."""

  file: str
  strategies: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Top1:
  """Percent, over so many seeds."""

  mean: str
  spread: str
  seeds: int
  source: Source


@dataclasses.dataclass(frozen=True)
class Time:
  """Seconds of a run on so many cores."""

  seconds: int
  cores: int
  source: Source


@dataclasses.dataclass(frozen=True)
class Header:
  """What a header says.

  Attributes:
    text: of the docstring.
    top1: None where it was not run, which is then said.
    times: none likewise.
    commands: lines to type, in order.
  """

  text: str
  fields: Mapping[str, str]
  top1: Top1 | None
  times: tuple[Time, ...]
  commands: tuple[str, ...]


def read(file: Path) -> Header:
  """The header of an experiment's file.

  Raises:
    ValueError: if a field is missing or has another form.
  """
  text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
  pairs = _FIELD.findall(text)
  fields = {name: re.sub(r"\s+", " ", value).strip() for name, value in pairs}
  if tuple(name for name, _ in pairs) != NAMES:
    raise ValueError(f"{file.name} has the fields {list(fields)}, not {list(NAMES)}.")
  commands = dict(pairs)["Command"].replace("\\\n", " ").splitlines()
  return Header(
    text=text,
    fields=fields,
    top1=_top1(file.name, fields["Top-1"]),
    times=_times(file.name, fields["Time"]),
    commands=tuple(" ".join(line.split()) for line in commands if line.strip()),
  )


def _top1(name: str, text: str) -> Top1 | None:
  absent = _ABSENT.fullmatch(text)
  if absent and absent[2]:
    return None
  match = _TOP1.fullmatch(text)
  if not match:
    raise ValueError(f"{name}: 'Top-1: {text}' has no table and no reason for it.")
  mean, spread, seeds, *_ = match.groups()
  return Top1(mean, spread, COUNTS[seeds], _source(match))


def _times(name: str, text: str) -> tuple[Time, ...]:
  if _ABSENT.fullmatch(text):
    return ()
  matches = [_TIME.fullmatch(part) for part in text.split("; ")]
  if None in matches:
    raise ValueError(f"{name}: 'Time: {text}' is not of the form of a header.")
  return tuple(
    Time(int(match["seconds"]), COUNTS[match["cores"]], _source(match))
    for match in matches
  )


def _source(match: re.Match[str]) -> Source:
  rows = match["rows"]
  return Source(match["file"], tuple(rows.split(" + ")) if rows else ())
