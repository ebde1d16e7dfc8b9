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
from neural_epitome.search.weights import Weights
from neural_epitome.spaces import slicing
from neural_epitome.spaces.arch import Arch
from neural_epitome.spaces.chain_space import ChainSpace
from neural_epitome.training import initialization


def save_found(
  workdir: Path,
  space: ChainSpace,
  weights: Weights,
  best: Arch,
  summary: Mapping[str, Any],
) -> None:
  """Writes the chosen network: its weights to variables.npz, the rest to found.json.

  All processes must call it; the first one writes.

  Args:
    workdir: of the search, see `job`.
    space: that was searched.
    weights: of the supernet, from which those of the choice are cut out.
    best: the choice.
    summary: what found.json holds, JSON-ready.
  """
  directory = workdir / "search"
  variables = weights.calibrated(best)
  if jax.process_index() == 0:
    variables = {name: variables[name] for name in ("params", "batch_stats")}
    sliced = slicing.slice_variables(jax.device_get(variables), space, best)
    classes = run_directory.RunDirectory(weights.directory).classes()
    initialization.save(sliced, directory / "variables.npz", classes)
  run_directory.write(directory / "found.json", json.dumps(summary, indent=2) + "\n")
  wait_for_shared(directory / "found.json")


def found_arch(workdir: Path, space: ChainSpace) -> Arch:
  """The choice in found.json.

  Raises:
    UserError: if there is none yet, or it is no choice of the space.
  """
  path = workdir / "search" / "found.json"
  if not path.exists():
    raise UserError(f"{path} does not exist: --stages=search finds a network first.")
  return space.from_json(_read(path)["arch"], str(path))


def report(
  workdir: Path, name: str, space: ChainSpace
) -> tuple[dict[str, Any], Path | None]:
  """The report of the stages that are done; writes its page once a network is found.

  Args:
    workdir: of the search, see `job`.
    name: of the experiment.
    space: that is searched.

  Returns:
    The report, see `job.run`, and the page; None where none was written.
  """
  found = workdir / "search" / "found.json"
  contents: dict[str, Any] = {"experiment": name}
  rounds = workdir.glob("search/round_*")
  supernets = list(rounds) or [workdir / "supernet"]
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
  log = driver.Log(workdir / "search" / "log.jsonl", space)
  arch = found_arch(workdir, space)
  page = search_page.write(workdir / "report", contents, log.lines, space, arch)
  return contents, page


def _read(path: Path) -> dict[str, Any]:
  return json.loads(path.read_text(encoding="utf-8"))
