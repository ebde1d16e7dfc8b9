"""--mode=export: a trained network as files of other runtimes."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from neural_epitome import flags
from neural_epitome.export import job
from neural_epitome.modes import loaded, output
from neural_epitome.report import tables

SEVERAL_PROCESSES = False


def run(arguments: Sequence[str], overrides: flags.Overrides) -> None:
  """Runs the mode; see `modes`."""
  del arguments
  exported = job.export(
    loaded.load(overrides),
    Path(flags.OUTPUT.value or "exported").expanduser(),
    [name for value in flags.FORMAT.value for name in value.split(",") if name],
    execution=cast(job.Execution, flags.EXECUTION.value),  # absl checks it
    bits=flags.BITS.value,
    quiet=flags.JSON.value,
  )
  output.show(lambda: tables.export_table(exported), exported)
