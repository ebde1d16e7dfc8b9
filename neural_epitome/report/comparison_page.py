"""The folder of a comparison: comparison.json, figures and a page that shows them."""

import html
import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from neural_epitome.errors import UserError
from neural_epitome.report import comparison, markup, page, pareto

AXES = ("stored_params", "madds")


def write(
  directory: pathlib.Path,
  summary: Sequence[comparison.Summary],
  left_out: Mapping[pathlib.Path, str],
) -> list[pathlib.Path]:
  """Writes the folder of a comparison.

  Args:
    directory: made where it is not; files of the same names are replaced.
    summary: of `comparison.summarise`; a figure of each kind for every backbone,
      data set and split.
    left_out: runs that are not in it, and how they stand.

  Returns:
    The files, the page first.

  Raises:
    UserError: if the folder cannot be written.
  """
  settings = _settings(summary)
  parts, pictures = [], []
  try:
    directory.mkdir(parents=True, exist_ok=True)
    for words, rows in settings.items():
      parts += [f"<h2>{html.escape(', '.join(words))}</h2>"]
      parts += [markup.table(*comparison.cells(rows))]
      parts += [f'<p class="about">{"; ".join(comparison.notes(rows))}.</p>']
      for x in AXES:
        # With one setting the plain name: the figures of a folder keep their names.
        stem = [*words, x] if len(settings) > 1 else [x]
        file = directory / (re.sub(r"[^\w.-]+", "_", "-".join(stem)) + ".png")
        about = f"top-1 against {pareto.LABELS[x]}"
        pareto.figure(rows, x, file, f"{', '.join(words)}: {about}")
        pictures.append(file)
        parts.append(markup.image(file, about))
    if left_out:
      items = [f"<li>{html.escape(text)}</li>" for text in left_out_lines(left_out)]
      parts += ["<h2>Left out</h2>", "<ul>", *items, "</ul>"]
    index = page.path(directory)
    methods = len(summary)
    runs = sum(row["n"] for row in summary)
    about = f"{methods} method{'s' * (methods != 1)}, {runs} run{'s' * (runs != 1)}"
    index.write_text(markup.document("Comparison", about, parts))
    data = directory / "comparison.json"
    data.write_text(json.dumps(as_json(summary, left_out), indent=2) + "\n")
  except OSError as error:
    reason = f"{directory} cannot be written: {error.strerror}"
    raise UserError(f"{reason}; choose another --output.") from None
  return [index, data, *pictures]


def as_json(
  summary: Sequence[comparison.Summary], left_out: Mapping[pathlib.Path, str]
) -> dict[str, Any]:
  """The content of comparison.json, JSON-ready."""
  return {
    "methods": list(summary),
    "left_out": {str(path): status for path, status in left_out.items()},
  }


def left_out_lines(left_out: Mapping[pathlib.Path, str]) -> list[str]:
  """A line for each run that is not compared."""
  return [f"{path}: {status}" for path, status in left_out.items()]


def _settings(
  summary: Sequence[comparison.Summary],
) -> dict[tuple[str, ...], list[comparison.Summary]]:
  """Rows that one figure can show, by what they have in common."""
  groups: dict[tuple[str, ...], list[comparison.Summary]] = {}
  for row in summary:
    keys = [key for key in comparison.SETTING if key != "rate"]
    words = tuple(str(row[key]) for key in keys if row.get(key) is not None)
    groups.setdefault(words, []).append(row)
  return groups
