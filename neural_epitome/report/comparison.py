"""Compares runs: mean, spread and paired differences. Pure functions, no files.

A run is a dictionary with the keys `method`, `seed`, `stored_params`, `madds`, `top1`
(percent) and, where known, `stored_bytes`, `weights` (`raw` or `ema`) and those of
`SETTING`. Runs that agree in `SETTING` are compared with each other; those of one
method in it are its seeds.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from tabulate import tabulate

from neural_epitome.errors import UserError

Run = Mapping[str, Any]
Summary = dict[str, Any]

SETTING = ("suite", "size", "backbone", "dataset", "data", "split", "rate")
BASELINES = ("*tile", "*width")

# Stored sizes this close are one size.
SAME_SIZE = 0.01

MINUS = "\N{MINUS SIGN}"


def name(method: str) -> str:
  """The name of a method: its label without the settings written behind it."""
  return method.partition(" ")[0]


def summarise(
  runs: Iterable[Run], baselines: Sequence[str] = BASELINES
) -> list[Summary]:
  """One row for each method in each setting.

  Args:
    runs: see the module.
    baselines: patterns (`*`, `?`) of method names to which differences are taken.
      Of several methods that match one in a setting it is the one whose stored size
      is nearest and, of those of the same size, the best.

  Returns:
    Rows with the setting's keys, method, n (of runs), seeds, top1 (mean, percent), sd
    (sample standard deviation; None for one run), stored_params, stored_bytes, madds
    (means over the runs; None where unknown) and differences: by baseline None (it is
    one itself, there is none, or no seed is common) or a dictionary with method (the
    baseline's), mean (this method minus it, over common seeds, points),
    standard_error (None for one pair), pairs and same_size (within 1%). By setting,
    then stored parameters (those within 1% are equal), then top-1, best first.

  Raises:
    UserError: if a method has two runs of one seed.
  """
  settings: dict[tuple, dict[str, dict[int, Run]]] = {}
  for run in runs:
    methods = settings.setdefault(tuple(run.get(k) for k in SETTING), {})
    seeds = methods.setdefault(run["method"], {})
    if run["seed"] in seeds:
      raise UserError(
        f"{run['method']} has two runs of seed {run['seed']} in one setting; leave "
        "one out."
      )
    seeds[run["seed"]] = run
  rows = []
  for setting, methods in settings.items():
    known = {k: v for k, v in zip(SETTING, setting, strict=True) if v is not None}
    described = {method: _describe(seeds) for method, seeds in methods.items()}
    for method, row in described.items():
      differences = {b: _difference(method, b, methods, described) for b in baselines}
      rows.append(known | {"method": method} | row | {"differences": differences})
  return _sorted(rows)


def _sorted(rows: Sequence[Summary]) -> list[Summary]:
  def setting(row: Summary) -> list[str]:
    return [str(row.get(key, "")) for key in SETTING if key != "rate"]

  rows = sorted(rows, key=lambda row: (setting(row), row["stored_params"] or 0))
  # Sizes within SAME_SIZE of the smallest of their kind are one size.
  keys, smallest = [], 0
  for before, row in zip([None, *rows], rows, strict=False):
    new = before is None or setting(before) != setting(row)
    size = row["stored_params"] or 0
    if new or size > smallest * (1 + SAME_SIZE):
      smallest = size
    keys.append((setting(row), smallest, -row["top1"], row["method"]))
  return [row for _, row in sorted(zip(keys, rows, strict=True), key=lambda p: p[0])]


def _describe(seeds: Mapping[int, Run]) -> Summary:
  tops = [run["top1"] for run in seeds.values()]

  def mean(key: str) -> int | None:
    values = [run[key] for run in seeds.values() if run.get(key) is not None]
    return round(statistics.fmean(values)) if values else None

  return {
    "n": len(tops),
    "seeds": sorted(seeds),
    "top1": statistics.fmean(tops),
    "sd": statistics.stdev(tops) if len(tops) > 1 else None,
    "weights": " and ".join(
      sorted({run.get("weights") or "" for run in seeds.values()})
    ),
  } | {key: mean(key) for key in ("stored_params", "stored_bytes", "madds")}


def _difference(
  method: str,
  baseline: str,
  methods: Mapping[str, Mapping[int, Run]],
  described: Mapping[str, Summary],
) -> Summary | None:
  mine = described[method]["stored_params"]
  candidates = [m for m in methods if fnmatchcase(name(m), baseline)]
  if not candidates or method in candidates:
    return None

  def distance(other: str) -> float:
    theirs = described[other]["stored_params"]
    if not mine or not theirs:
      return math.inf
    return abs(math.log(theirs / mine))

  limit = math.log1p(SAME_SIZE)
  chosen = min(
    candidates, key=lambda m: (max(distance(m), limit), -described[m]["top1"])
  )
  pair = paired(methods[method], methods[chosen])
  if pair is None:
    return None
  return {"method": chosen, "same_size": distance(chosen) <= limit} | pair


def paired(ours: Mapping[int, Run], theirs: Mapping[int, Run]) -> Summary | None:
  """Mean difference of top-1 over common seeds, with its standard error.

  Args:
    ours: runs by seed.
    theirs: runs by seed.

  Returns:
    mean and standard_error (standard deviation of the differences over the root of
    their number; None for one pair) in points, and pairs; None without a common seed.
  """
  common = sorted(ours.keys() & theirs.keys())
  if not common:
    return None
  differences = [ours[seed]["top1"] - theirs[seed]["top1"] for seed in common]
  error = None
  if len(common) > 1:
    error = statistics.stdev(differences) / math.sqrt(len(common))
  mean = statistics.fmean(differences)
  return {"mean": mean, "standard_error": error, "pairs": len(common)}


def top1_text(row: Mapping[str, Any]) -> str:
  """A summary row's accuracy as `mean ± sd (n)`, percent."""
  spread = "" if row["sd"] is None else f" ± {row['sd']:.2f}"
  return f"{row['top1']:.2f}{spread} ({row['n']})"


def difference_text(difference: Mapping[str, Any] | None) -> str:
  """A paired difference as `mean ± standard error (pairs)`, points."""
  if difference is None:
    return ""
  # A difference that rounds to nothing has no sign.
  sign = "" if f"{difference['mean']:.2f}" in ("0.00", "-0.00") else "+"
  mean = f"{difference['mean']:{sign}.2f}".replace("-0.00", "0.00").replace("-", MINUS)
  error = difference["standard_error"]
  spread = "" if error is None else f" ± {error:.2f}"
  return f"{mean}{spread} ({difference['pairs']})"


NOTE = (
  "top-1 in percent, mean and standard deviation over n runs; differences in points "
  "over runs of the same seed, ± standard error (pairs)"
)
NOTE_SIZE = "* the stored sizes differ by more than 1%"
NOTE_WEIGHTS = (
  "some rows are of averaged weights (ema), some of raw ones: --weights=raw takes raw "
  "ones for all"
)


def cells(summary: Sequence[Summary]) -> tuple[list[str], list[list[str]]]:
  """Headers and rows of the table, as text; columns without content are left out."""
  baselines = list(summary[0]["differences"]) if summary else []
  columns: dict[str, list[str]] = {}
  for key in SETTING:
    values = [row.get(key, "") for row in summary]
    # What is the same for all is for the title.
    if len(set(values)) > 1:
      columns[key] = [f"{v:g}" if isinstance(v, float) else str(v) for v in values]
  columns["method"] = [row["method"] for row in summary]
  columns["n"] = [str(row["n"]) for row in summary]
  columns["top-1"] = [f"{row['top1']:.2f}" for row in summary]
  columns["sd"] = ["" if r["sd"] is None else f"{r['sd']:.2f}" for r in summary]
  for key, header in (
    ("stored_params", "parameters"),
    ("stored_bytes", "bytes"),
    ("madds", "MAdds"),
  ):
    columns[header] = ["" if r[key] is None else f"{r[key]:,}" for r in summary]
  if len(_weights(summary)) > 1:
    columns["weights"] = [row.get("weights", "") for row in summary]
  for baseline in baselines:
    differences = [row["differences"][baseline] for row in summary]
    marks = ["*" if f and not f["same_size"] else "" for f in differences]
    texts = zip(map(difference_text, differences), marks, strict=True)
    columns[f"{MINUS} {baseline.lstrip('*')}"] = [text + mark for text, mark in texts]
  columns = {k: v for k, v in columns.items() if any(v) or k == "method"}
  return list(columns), [list(row) for row in zip(*columns.values(), strict=True)]


def notes(summary: Sequence[Summary]) -> list[str]:
  """What a reader of the table has to know."""
  differences = [d for row in summary for d in row["differences"].values() if d]
  notes = [NOTE] + [NOTE_SIZE] * any(not d["same_size"] for d in differences)
  return notes + [NOTE_WEIGHTS] * (len(_weights(summary)) > 1)


def _weights(summary: Sequence[Summary]) -> set[str]:
  return {row.get("weights", "") for row in summary}


def table(summary: Sequence[Summary], form: str = "simple") -> str:
  """The summary as an aligned table with its notes below.

  Args:
    summary: of `summarise`.
    form: of tabulate; `github` is Markdown.
  """
  headers, rows = cells(summary)
  left = {*SETTING, "method"} - {"rate"}
  align = ["left" if header in left else "right" for header in headers]
  # tabulate's own `github` drops the alignment.
  shape = "pipe" if form == "github" else form
  body = tabulate(rows, headers, shape, colalign=align, disable_numparse=True)
  footnotes = notes(summary)
  if form == "github":  # an asterisk alone would be a list or emphasis
    footnotes = [note.replace("*", "\\*") + "." for note in footnotes]
  return "\n".join([body, "", *footnotes])
