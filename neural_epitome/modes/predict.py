"""--mode=predict: names what images show."""

from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

from neural_epitome import flags
from neural_epitome.data import named_files
from neural_epitome.errors import UserError
from neural_epitome.modes import loaded, output
from neural_epitome.training import loading

SEVERAL_PROCESSES = False


def run(arguments: Sequence[str], overrides: flags.Overrides) -> None:
  """Runs the mode; see `modes`."""
  named = [*(flags.IMAGES.value or ()), *arguments]
  if not named:
    raise UserError("--mode=predict needs --images=FILE, a folder or a pattern.")
  trained = loaded.load(overrides)
  files = named_files.find(named, trained.config.data.kind)
  rows = loading.predict(trained, files, skip=True)
  faults = [row["error"] for row in rows if "error" in row]
  if len(rows) > len(faults) or flags.JSON.value:
    output.show(lambda: _table(rows), rows)
  if faults:
    raise UserError(_told(faults, len(files)))


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
  cells = [
    [row["image"], *(f"{c['class']} {c['probability']:.1%}" for c in row["top"])]
    for row in rows
    if "top" in row
  ]
  return tabulate(cells, ["image", "first", "second", "third"])


def _told(faults: Sequence[str], count: int) -> str:
  """What could not be read, at the end, where it is seen."""
  if len(faults) == 1:
    return faults[0]
  head = f"{len(faults)} of {count} files could not be read:"
  return "\n  ".join([head, *faults])
