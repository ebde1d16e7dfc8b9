"""Finished run directories as rows to compare."""

import hashlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from neural_epitome.errors import UserError
from neural_epitome.runs import claims
from neural_epitome.runs import directory as run_directory

# What a row takes from report.json.
_NUMBERS = ("top1", "stored_params", "stored_bytes", "madds")
_ABSENT = object()


def find(directories: Sequence[str | os.PathLike]) -> list[Path]:
  """The run directories among these and below them, each once, sorted by path.

  Raises:
    UserError: naming a directory that does not exist or holds no run.
  """
  paths: dict[Path, Path] = {}
  for directory in map(Path, directories):
    directory = directory.expanduser()
    if not directory.is_dir():
      raise UserError(f"{directory} is no directory; name directories of runs.")
    inside = list(_below(directory))
    if not inside:
      raise UserError(f"{directory} holds no run (no {run_directory.CONFIG} in it).")
    for path in inside:
      paths.setdefault(path.resolve(), path)
  return sorted(paths.values())


def _below(directory: Path) -> Iterator[Path]:
  for path, below, files in os.walk(directory):
    if run_directory.CONFIG in files:
      below.clear()  # its checkpoints hold thousands of files and no runs
      yield Path(path)


def rows(
  paths: Sequence[Path], weights: str | None = None
) -> tuple[list[dict[str, Any]], dict[Path, str]]:
  """Reads runs as rows of `comparison.summarise`.

  Runs whose configurations differ only in the seed, in a seed at the end of the name
  (`tile-0`, `tile_seed1`) and in what changes no result are seeds of one method. It
  is called as the experiment; where several methods of the set have one name, what
  distinguishes them stands behind it.

  Args:
    paths: run directories.
    weights: `raw` or `ema`; by default ema where a run kept them.

  Returns:
    The rows of finished runs, and for the others how they stand.

  Raises:
    UserError: if no run is done, a file of a finished one cannot be read, or two runs
      are the same seed of one method.
  """
  finished, left_out = [], {}
  for path in paths:
    status = run_directory.RunDirectory(path).status
    if status == "done":
      finished.append(
        (path, _read(path / run_directory.CONFIG), _numbers(path, weights))
      )
    else:
      left_out[path] = status or "not started"
  if not finished:
    standing = ", ".join(f"{path} ({status})" for path, status in left_out.items())
    raise UserError(f"No run is done: {standing}. Finish one with --mode=train.")
  settings = [_setting(path, config) for path, config, _ in finished]
  _mark_other_data(settings, [path for path, *_ in finished])
  identities = [_identity(path, config) for path, config, _ in finished]
  table: list[dict[str, Any]] = []
  seen: dict[tuple, Path] = {}
  for (path, config, numbers), setting, identity in zip(
    finished, settings, identities, strict=True
  ):
    pairs = zip(settings, identities, strict=True)
    label = _label(identity, [other for s, other in pairs if s == setting])
    seed = _seed(path, config)
    if (key := (*setting.values(), label, seed)) in seen:
      raise UserError(
        f"{seen[key]} and {path} are the same seed {seed} of {label}; leave one out."
      )
    seen[key] = path
    table.append(
      setting | {"method": label, "seed": seed} | numbers | {"run": str(path)}
    )
  return table, left_out


def _read(path: Path) -> dict[str, Any]:
  try:
    content = json.loads(path.read_text())
  except FileNotFoundError:
    raise UserError(f"{path} does not exist, though its run is done.") from None
  except (OSError, ValueError) as error:
    raise UserError(f"{path} cannot be read: {error}.") from None
  if not isinstance(content, dict):
    raise UserError(f"{path} cannot be read: it is not a JSON object.")
  return content


def _numbers(path: Path, weights: str | None) -> dict[str, Any]:
  file = path / run_directory.REPORT / "report.json"
  report = _read(file)
  for key in _NUMBERS:
    value = report.get(key)
    is_number = isinstance(value, int | float) and math.isfinite(value)
    if not is_number or isinstance(value, bool):
      raise UserError(f"{file} cannot be compared: {key}={value!r} is not a number.")
  averaged = report.get("top1_ema")
  if weights == "ema" and averaged is None:
    raise UserError(f"{path} kept no averaged weights; use --weights=raw.")
  taken = "raw" if weights == "raw" or averaged is None else "ema"
  top1 = averaged if taken == "ema" and averaged is not None else report["top1"]
  numbers = {key: report[key] for key in _NUMBERS[1:]}
  return numbers | {"top1": 100.0 * top1, "weights": taken}


def _get(path: Path, config: Mapping[str, Any], *names: str) -> Any:
  value: Any = config
  for name in names:
    value = value.get(name, _ABSENT) if isinstance(value, Mapping) else _ABSENT
  if value is _ABSENT:
    file = path / run_directory.CONFIG
    raise UserError(f"{file} cannot be read: it has no {'.'.join(names)}.")
  return value


def _seed(path: Path, config: Mapping[str, Any]) -> Any:
  return _get(path, config, "training", "seed")


def _setting(path: Path, config: Mapping[str, Any]) -> dict[str, Any]:
  return {
    "backbone": _get(path, config, "model", "kind"),
    "dataset": _get(path, config, "data", "dataset"),
    "split": _get(path, config, "data", "evaluation_split"),
  }


def _mark_other_data(settings: Sequence[dict[str, Any]], paths: Sequence[Path]) -> None:
  """Adds which data it was to settings that one name stands for several of.

  A folder of that name may have changed, or lie elsewhere for another run. Runs of
  earlier releases do not know.
  """
  seen: dict[str, set[str]] = {}
  data_of_runs = []
  for setting, path in zip(settings, paths, strict=True):
    data = _data(path)
    data_of_runs.append(data)
    seen.setdefault(json.dumps(setting), set()).update([data] if data else [])
  for setting, data in zip(settings, data_of_runs, strict=True):
    if len(seen[json.dumps(setting)]) > 1:
      setting["data"] = data or "unknown"


def _data(path: Path) -> str:
  """Which data a run had, in short; empty if it does not say."""
  if not (path / run_directory.DATA).exists():
    return ""
  identity = _read(path / run_directory.DATA)
  classes = run_directory.RunDirectory(path).classes()
  digest = hashlib.sha256(json.dumps([identity, classes]).encode()).hexdigest()
  counts = [str(_get(path, identity, name, "examples")) for name in identity]
  return f"{len(classes)} classes, {'+'.join(counts)} examples ({digest[:6]})"


def _identity(path: Path, config: Mapping[str, Any]) -> dict[str, Any]:
  """What makes a run its method: fields by dotted name, the name without a seed."""
  seed = re.escape(str(_seed(path, config)))
  name = str(_get(path, config, "name"))
  fields = _flat(config) | {"name": re.sub(rf"[-_.](seed|s)?[-_=]?{seed}$", "", name)}
  hidden = {*claims.INCIDENTAL, "training.seed"}
  return {field: value for field, value in fields.items() if field not in hidden}


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
  flat: dict[str, Any] = {}
  for name, value in config.items():
    inner = isinstance(value, Mapping)
    flat |= _flat(value, f"{prefix}{name}.") if inner else {prefix + name: value}
  return flat


def _label(mine: Mapping[str, Any], identities: Sequence[Mapping[str, Any]]) -> str:
  """The name, and behind it what distinguishes it from others of that name."""
  namesakes = [other for other in identities if other["name"] == mine["name"]]
  fields = dict.fromkeys(field for other in namesakes for field in other)
  differing = [field for field in fields if _count([field], namesakes) > 1]
  # Fields of one arm of a choice follow from the choice, which all of them have.
  common = [f for f in differing if all(f in other for other in namesakes)]
  if _count(common, namesakes) == _count(differing, namesakes):
    differing = common
  lasts = [field.rpartition(".")[2] for field in differing]
  suffixes = [
    f"{last if lasts.count(last) == 1 else field}={_text(mine[field])}"
    for field, last in zip(differing, lasts, strict=True)
    if field in mine
  ]
  return " ".join([mine["name"], *suffixes])


def _count(fields: Sequence[str], identities: Sequence[Mapping[str, Any]]) -> int:
  """How many of them differ in these fields."""
  return len({json.dumps([i.get(field) for field in fields]) for i in identities})


def _text(value: Any) -> str:
  if isinstance(value, float):
    return f"{value:g}"
  return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
