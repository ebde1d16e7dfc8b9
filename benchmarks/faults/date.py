"""A date that is set while processes run, for them alone and without any right."""

import shutil
import struct
import subprocess
from pathlib import Path

from neural_epitome.errors import UserError

SOURCE = Path(__file__).with_suffix(".c")
_COMPILERS = ("cc", "gcc", "clang")


def prepare(folder: Path) -> dict[str, str]:
  """Compiles what processes preload; Linux only.

  Args:
    folder: where it lies, and the file that says how far the date is set.

  Returns:
    The variables of a process whose date `set_hours` sets.

  Raises:
    UserError: if there is no C compiler, or it cannot compile that.
  """
  library = folder / "date.so"
  set_hours(folder, 0.0)
  compiler = next(filter(None, map(shutil.which, _COMPILERS)), "cc")
  command = [compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(SOURCE)]
  try:
    subprocess.run([*command, "-ldl"], check=True, capture_output=True)
  except (OSError, subprocess.CalledProcessError) as error:
    raise UserError(f"A date that is set needs a C compiler: {error}.") from None
  return {"LD_PRELOAD": str(library), "DATE_FILE": str(_file(folder))}


def set_hours(folder: Path, hours: float) -> None:
  """Sets their date to so many hours after that of the machine, from now on."""
  _file(folder).touch()
  # In place, as processes have mapped the file.
  with _file(folder).open("r+b") as file:
    file.write(struct.pack("q", round(3600 * hours)))


def _file(folder: Path) -> Path:
  return folder / "date"
