"""Tables that scripts write into pages, between markers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tabulate import tabulate

from neural_epitome.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs" / "results"


def markdown(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  """A table of text, the first column flush left."""
  align = ["left"] + ["right"] * (len(headers) - 1)
  return tabulate(rows, headers, "pipe", colalign=align, disable_numparse=True)


def replace(text: str, name: str, inside: str, where: str) -> str:
  """The page with another text between the markers of a name.

  Raises:
    UserError: if there is not one of each marker, in order.
  """
  first, last = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
  before, begin, rest = text.partition(first)
  _, end, after = rest.partition(last)
  if not begin or not end or first in rest or last in after:
    raise UserError(f"{where} needs one line {first} and below it one line {last}.")
  return f"{before}{first}\n\n{inside}\n\n{last}{after}"


def edit(path: Path, parts: Mapping[str, str]) -> str:
  """The text of a page with each part between the markers of its name."""
  if not path.is_file():
    raise UserError(f"{path} does not exist.")
  text = path.read_text(encoding="utf-8")
  for name, inside in parts.items():
    text = replace(text, name, inside, str(path))
  return text


def write(path: Path, parts: Mapping[str, str]) -> None:
  """Writes each part between the markers of its name, and prints the page's path."""
  path.write_text(edit(path, parts), encoding="utf-8")
  print(path)
