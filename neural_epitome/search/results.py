"""What a search leaves in its directory: the network that it found, and its report."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from neural_epitome.distributed.collectives import wait_for_shared
from neural_epitome.errors import UserError
from neural_epitome.report import search_page
from neural_epitome.runs import directory as run_directory
from neural_epitome.search import driver
from neural_epitome.search.weights import GATES, Weights
from neural_epitome.spaces.arch import ArchEncoding
from neural_epitome.spaces.searchable import Searchable
from neural_epitome.spaces.space import Space
from neural_epitome.training import initialization


def save_found(
  workdir: Path,
  supernet: Searchable,
  weights: Weights,
  best: ArchEncoding,
  summary: Mapping[str, Any],
) -> None:
  """Writes the chosen network: its weights to variables.npz, the rest to found.json.

  All processes must call it; the first one writes.

  Args:
    workdir: of the search, see `job`.
    supernet: that was searched.
    weights: of the supernet, from which those of the choice are cut out.
    best: the choice.
    summary: what found.json holds, JSON-ready.
  """
  directory = workdir / "search"
  variables = weights.calibrated(best)
  if jax.process_index() == 0:
    variables = {name: variables[name] for name in ("params", "batch_stats")}
    sliced = supernet.sliced(jax.device_get(variables), best)
    classes = run_directory.RunDirectory(weights.directory).classes()
    initialization.save(sliced, directory / "variables.npz", classes)
  run_directory.write(directory / "found.json", json.dumps(summary, indent=2) + "\n")
  wait_for_shared(directory / "found.json")


def found_arch(workdir: Path, space: Space) -> ArchEncoding:
  """The choice in found.json.

  Raises:
    UserError: if there is none yet, or it is no choice of the space.
  """
  path = workdir / "search" / "found.json"
  if not path.exists():
    raise UserError(f"{path} does not exist: --stages=search finds a network first.")
  return space.from_json(_read(path)["arch"], str(path))


def report(
  workdir: Path, name: str, supernet: Searchable
) -> tuple[dict[str, Any], Path | None]:
  """The report of the stages that are done; writes its page once a network is found.

  Args:
    workdir: of the search, see `job`.
    name: of the experiment.
    supernet: that is searched.

  Returns:
    The report, see `job.run`, and the page; None where none was written.
  """
  found = workdir / "search" / "found.json"
  contents: dict[str, Any] = {"experiment": name}
  rounds = [path for path in workdir.glob("search/round_*") if path.is_dir()]
  supernets = rounds or [workdir / "supernet"]
  files = [directory / "report" / "report.json" for directory in supernets]
  if all(file.exists() for file in files):
    contents["supernet"] = {"seconds": sum(_read(file)["seconds"] for file in files)}
  if found.exists():
    contents["search"] = _read(found)
  final = workdir / "final" / "report" / "report.json"
  if final.exists():
    contents["final"] = _read(final)
  if not found.exists() or jax.process_index() != 0:
    return contents, None
  log = driver.Log(workdir / "search" / "log.jsonl", supernet.space)
  arch = found_arch(workdir, supernet.space)
  size, described = supernet.space.size, supernet.describe(arch)
  gates = [
    _read(path) if path.exists() else None
    for path in (
      workdir / f"search/round_{number}" / GATES
      for number in range(1, len(contents["search"].get("rounds", ())) + 1)
    )
  ]
  page = search_page.write(
    workdir / "report", contents, log.lines, size, described, gates
  )
  return contents, page


def _read(path: Path) -> dict[str, Any]:
  return json.loads(path.read_text(encoding="utf-8"))
