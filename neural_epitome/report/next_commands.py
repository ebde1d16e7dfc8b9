"""What to do with a finished run: commands that can be pasted into a shell."""

import os
import pathlib
import shlex

from neural_epitome.report import pictures
from neural_epitome.runs import directory

MAIN = ("python", "-m", "neural_epitome.main")


def next_commands(workdir: str | os.PathLike) -> dict[str, str]:
  """The commands that evaluate a run, predict with it and export it.

  Args:
    workdir: the run directory, as the commands are to name it. Its report may hold an
      example to predict (see `pictures.save`); without one that command is left out.

  Returns:
    Commands by mode, quoted for a POSIX shell.
  """
  path = pathlib.Path(workdir)
  arguments = {"evaluate": []}
  for name in pictures.EXAMPLES:
    if (example := path / directory.REPORT / name).exists():
      arguments["predict"] = [f"--images={example}"]
  arguments["export"] = [f"--output={path / 'exported'}"]
  return {
    mode: shlex.join([*MAIN, f"--mode={mode}", f"--workdir={path}", *rest])
    for mode, rest in arguments.items()
  }
