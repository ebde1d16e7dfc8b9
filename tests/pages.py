"""The pages that people read: README.md, docs/ and what else tells of commands."""

import dataclasses
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = [
  ROOT / "README.md",
  *sorted((ROOT / "docs").rglob("*.md")),
  ROOT / "launch" / "README.md",
  ROOT / "CONTRIBUTING.md",
]
PAGES = {file.relative_to(ROOT).as_posix(): file for file in FILES}
_FENCE = re.compile(
  r"^(?P<indent>[ ]*)```(?P<language>\w+)[^\n]*\n(?P<text>.*?)^(?P=indent)```[ ]*$",
  re.MULTILINE | re.DOTALL,
)
# Indented code: lines of four spaces after an empty one.
_INDENTED = re.compile(r"(?<=\n\n)(?:(?:[ ]{4}.*)?\n)*[ ]{4}.+\n")
_MARKED = re.compile(
  r"<!-- (?P<name>\w+):begin -->\n\n(?P<text>.*?)\n\n<!-- (?P=name):end -->", re.DOTALL
)


@dataclasses.dataclass(frozen=True)
class Block:
  """Code on a page.

  Attributes:
    language: `sh` or `python`.
    line: of the page, where its code begins.
  """

  language: str
  text: str
  line: int


def read(page: str) -> str:
  """The text of a page."""
  return PAGES[page].read_text(encoding="utf-8")


def blocks(text: str) -> list[Block]:
  """What stands in fences of `sh` and `python`, and indented commands, in order."""
  blocks, fences = [], list(_FENCE.finditer(text))
  for match in fences:
    if (language := match["language"]) in ("sh", "bash", "python"):
      inside = textwrap.dedent(match["text"])
      language = "python" if language == "python" else "sh"
      blocks.append(Block(language, inside, _line(text, match.start("text"))))
  blank = text
  for match in fences:
    blank = blank.replace(match[0], re.sub(r"[^\n]", "-", match[0]), 1)
  for match in _INDENTED.finditer(blank):
    inside = textwrap.dedent(match[0])
    if re.match(r"(python|pip|ruff|git|jupy\w+) ", inside):
      blocks.append(Block("sh", inside, _line(text, match.start())))
  return sorted(blocks, key=lambda block: block.line)


def _line(text: str, position: int) -> int:
  return text.count("\n", 0, position) + 1


def commands(block: Block) -> list[tuple[int, str]]:
  """The commands of a block of `sh` and their lines.

  Lines that go on are joined, lists of && taken apart; a here-document is one command.
  """
  commands, pending = [], list(enumerate(block.text.splitlines(), block.line))
  while pending:
    number, line = pending.pop(0)
    while line.endswith("\\") and pending:
      line = " ".join((line.removesuffix("\\").rstrip(), pending.pop(0)[1].strip()))
    if match := re.search(r"<<-?\s*(['\"]?)(\w+)\1", line):
      while pending and not line.endswith(f"\n{match[2]}"):
        line = f"{line}\n{pending.pop(0)[1]}"
      commands.append((number, line))
    elif line.strip() and not line.lstrip().startswith("#"):
      commands += [(number, part.strip()) for part in line.split(" && ")]
  return commands


def inline(text: str) -> list[tuple[int, str]]:
  """Commands of Python within a paragraph or a table, and their lines."""
  outside = _FENCE.sub(lambda match: re.sub(r"[^\n]", "-", match[0]), text)
  return [
    (_line(text, match.start()), re.sub(r"\\\||\s+", " ", match[1]))
    for match in re.finditer(r"`(python -m [^`]+)`", outside)
  ]


def marked(text: str) -> dict[str, str]:
  """What stands between markers, by their name."""
  return {match["name"]: match["text"] for match in _MARKED.finditer(text)}


def table_rows(text: str) -> Iterator[list[str]]:
  """The cells of every row of every table."""
  for line in text.splitlines():
    if line.startswith("|") and not re.match(r"\|[-:| ]+$", line):
      yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))]
