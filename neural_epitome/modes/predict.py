"""--mode=predict: names what images show."""

from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from neural_epitome import flags
from neural_epitome.errors import UserError
from neural_epitome.modes import loaded, output
from neural_epitome.training import loading

SEVERAL_PROCESSES = False


def run(arguments: Sequence[str], overrides: flags.Overrides) -> None:
  """Runs the mode; see `modes`."""
  del arguments
  if not flags.IMAGES.value:
    raise UserError("--mode=predict needs --images=FILE[,FILE...].")
  files = [
    file
    for value in flags.IMAGES.value
    # A file whose own name has a comma is one file.
    for file in ([value] if Path(value).exists() else value.split(","))
    if file
  ]
  rows = loading.predict(loaded.load(overrides), files)
  table_rows = [
    [row["image"], *(f"{c['class']} {c['probability']:.1%}" for c in row["top"])]
    for row in rows
  ]
  output.show(lambda: tabulate(table_rows, ["image", "first", "second", "third"]), rows)
