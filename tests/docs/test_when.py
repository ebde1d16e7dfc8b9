"""Each row of the page on what happens when something is wrong has its test."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
  [cell.strip() for cell in line.strip("|").split("|")]
  for line in (ROOT / "docs/tasks/when.md").read_text().splitlines()
  if line.startswith("|") and not re.match(r"\|(-|\s*when\s*\|)", line)
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_a_row_names_the_test_that_holds_it(row):
  when, what, held = row
  assert when
  assert what
  match = re.fullmatch(r"`(tests/[\w/]+\.py)::(test_\w+)`", held)
  assert match, held
  tree = ast.parse((ROOT / match[1]).read_text())
  assert match[2] in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}


def test_there_are_rows_of_every_part():
  assert len(ROWS) > 30
