"""Which search a directory holds: another one may not go on with its answers."""

import hashlib
import json
from pathlib import Path

from neural_epitome import codec
from neural_epitome.errors import UserError
from neural_epitome.runs import directory as run_directory
from neural_epitome.spaces.space import Space
from neural_epitome.strategies.options import SearchOptions


def claim(
  directory: Path, space: Space, options: SearchOptions, supernet_report: Path
) -> None:
  """Writes which search a directory holds, or refuses one that holds another.

  Args:
    directory: of the search.
    space: that is searched.
    options: of the search.
    supernet_report: report.json of the supernet; it need not exist.

  Raises:
    UserError: naming the first part in which the directory's search differs.
  """
  path = directory / "options.json"
  mine = codec.encode(options)
  # What comes after the search may differ, and where its table lies.
  mine = {
    name: value
    for name, value in mine.items()
    if not name.startswith("final_") and name not in ("latency_table", "any_machine")
  }
  mine = json.loads(json.dumps({"space": codec.encode(space)} | mine))
  # Answers are worth nothing with the weights, or the times, of another one.
  mine["supernet"] = _digest(supernet_report)
  mine["table of latencies"] = _digest(Path(options.latency_table or "none"))
  if path.exists() and (theirs := json.loads(path.read_text("utf-8"))) != mine:
    names = [name for name in mine if theirs.get(name) != mine[name]]
    name = names[0] if names else "options"
    raise UserError(
      f"{directory} holds a search with another {name}; nothing was changed. Choose "
      "another --workdir, or remove that directory to search again."
    )
  run_directory.write(path, json.dumps(mine, indent=2) + "\n")


def _digest(path: Path) -> str:
  return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else ""
