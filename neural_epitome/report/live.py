"""Training curves that redraw themselves in a notebook."""

import contextlib
import os
import pathlib
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

from neural_epitome.errors import UserError
from neural_epitome.report import figures
from neural_epitome.runs import metrics
from neural_epitome.runs.directory import METRICS


@contextlib.contextmanager
def live(workdir: str | os.PathLike, seconds: float = 5.0) -> Iterator[None]:
  """Shows `figures.curves` of a run below the cell for as long as the block lasts.

      with ne.live("runs/mine"):
        report = ne.run(config, "runs/mine", quiet=True)

  A thread of its own draws; the run stays where an interrupt of the kernel reaches
  it. New points come every `config.training.log_every` steps.

  Args:
    workdir: the run directory; it need not exist yet.
    seconds: between two looks at its metrics.

  Raises:
    UserError: outside a notebook.
  """
  if not _is_notebook():
    raise UserError(
      f"Curves of {workdir} can be shown in a notebook only; elsewhere run "
      f"tensorboard --logdir={workdir}."
    )
  from IPython.display import Image, display

  path = pathlib.Path(workdir) / METRICS
  handle: Any = display(display_id=True)
  stop, drawn = threading.Event(), 0

  def draw() -> None:
    nonlocal drawn
    lines = metrics.read(path)
    if len(lines) == drawn:
      return
    with tempfile.TemporaryDirectory() as folder:
      picture = pathlib.Path(folder) / "curves.png"
      figures.curves(lines, picture)
      handle.update(Image(picture.read_bytes()))
    drawn = len(lines)

  def watch() -> None:
    while not stop.wait(seconds):
      draw()

  watcher = threading.Thread(target=watch, name="live", daemon=True)
  watcher.start()
  try:
    yield
  finally:
    stop.set()
    watcher.join()
    draw()


def _is_notebook() -> bool:
  # Every kernel has loaded it; elsewhere it need not be installed.
  ipython = sys.modules.get("IPython")
  return ipython is not None and ipython.get_ipython() is not None
