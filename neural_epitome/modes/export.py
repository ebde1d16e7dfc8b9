"""--mode=export: a trained network as files of other runtimes."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from neural_epitome import flags
from neural_epitome.errors import UserError
from neural_epitome.export import c_header, job
from neural_epitome.modes import loaded, output
from neural_epitome.report import tables
from neural_epitome.weight_files import expanding

SEVERAL_PROCESSES = False


def run(arguments: Sequence[str], overrides: flags.Overrides) -> None:
  """Runs the mode; see `modes`."""
  del arguments
  formats = [name for value in flags.FORMAT.value for name in value.split(",") if name]
  if expanding.is_of_weights(flags.workdir()):
    _export_weights(formats, overrides)
    return
  # Before the network is read.
  job.checked(formats, flags.BITS.value)
  exported = job.export(
    loaded.load(overrides),
    Path(flags.OUTPUT.value or "exported").expanduser(),
    formats,
    execution=cast(job.Execution, flags.EXECUTION.value),  # absl checks it
    bits=flags.BITS.value,
    quiet=flags.JSON.value,
  )
  output.show(lambda: tables.export_table(exported), exported)


def _export_weights(formats: Sequence[str], overrides: flags.Overrides) -> None:
  """The weights of --mode=compress, in files of the programs that they came from."""
  if overrides:
    raise UserError(f"--config.{overrides[0][0]} cannot change what a file holds.")
  source = flags.workdir()
  if flags.FORMAT.present:
    names = formats
  else:
    names = ["weights"]
  for name in names:
    if name not in ("weights", "c", *expanding.ENDINGS):
      raise UserError(
        f"{source} holds weights and no network: --format is weights, or one of "
        f"{', '.join(('c', *expanding.ENDINGS))}."
      )
  directory = Path(flags.OUTPUT.value or "exported").expanduser()
  try:
    directory.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise UserError(f"--output={directory}: {error.strerror}.") from None
  files = []
  for name in names:
    if name == "c":
      path = directory / (source.stem + c_header.ENDING)
      c_header.write_weights(path, source)
    else:
      kind = None if name == "weights" else name
      path = expanding.expand_into(source, directory, kind, flags.WEIGHTS.value)
    files.append({"file": str(path), "bytes": path.stat().st_size})
  rows = [f"{file['file']}: {file['bytes']:,} bytes" for file in files]
  output.show(lambda: "\n".join(rows), {"files": files})
