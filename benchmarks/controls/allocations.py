"""A budget shared out among kernels: evenly, by their size, by measurement, by search.

  python -m benchmarks.controls.allocations --seeds=3 --minutes=60

Every allocation stores the same number of parameters in all, by the same rule, and its
network is trained from random weights by the same recipe; the test split is read once,
when a run ends. What is measured is measured on training images that were held out, by
a network of the same seed whose kernels are read at all rates (`search.allocation`);
its training counts in the seconds of the allocations that need it.

A row a run in results/allocations.csv; what is there is skipped.
"""

import argparse
import dataclasses
import json
import math
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from tabulate import tabulate

from benchmarks import common, workers
from benchmarks.controls import suites as control_suites
from benchmarks.controls.rows import append, commit, read
from neural_epitome import codec
from neural_epitome.config import Config
from neural_epitome.epitome.generators import EpitomeRule
from neural_epitome.errors import UserError
from neural_epitome.planning import BudgetPlanner, RatePlanner
from neural_epitome.runs.malloc import keep_freed_memory
from neural_epitome.strategies import Evolution, NetAdapt, Strategy
from neural_epitome.strategies.options import SearchOptions

COLUMNS = (
  *("backbone", "dataset", "rule", "rate", "allocation", "seed", "top1"),
  *("stored_params", "evaluations", "measure_seconds", "train_seconds"),
  *("device", "commit", "command"),
)
KEY = COLUMNS[:6]
RULES = {"tile": EpitomeRule(routing="tile")}
STRATEGIES: dict[str, Strategy] = {
  "searched_netadapt": NetAdapt(layers=3, samples=16),
  "searched_evolution": Evolution(generations=20, population=20, parents=8),
}
# An even rate, one that compresses small kernels less, and what is measured.
ALLOCATIONS = ("uniform", "uneven", "sensitivity", *STRATEGIES)


def settings(quick: bool) -> dict[str, Config]:
  """The networks, by name, dense."""
  settings = control_suites.settings("2d", "quick" if quick else "small")
  return {setting.backbone: setting.dense for setting in settings}


def configure(
  backbone: str, rule: str, allocation: str, seed: int, quick: bool
) -> Config:
  """The run of a network, its planner not yet asked for a budget."""
  config = settings(quick)[backbone]
  return dataclasses.replace(
    config,
    planner=RatePlanner(rule=RULES[rule]),
    training=dataclasses.replace(config.training, seed=seed),
    search=SearchOptions(strategy=STRATEGIES.get(allocation, NetAdapt()), seed=seed),
  )


def measure(
  backbone: str, rule: str, seed: int, rates: list[float], quick: bool, root: Path
) -> dict[str, Any]:
  """Allocates at every rate by every method; the planners and what they cost."""
  from neural_epitome.search import allocation as allocations

  keep_freed_memory()
  planners = {}
  for rate in rates:
    for name in ALLOCATIONS:
      config = configure(backbone, rule, name, seed, quick)
      method = name.partition("_")[0]
      is_measured = method in ("sensitivity", "searched")
      directory = root / f"{backbone}_{rule}_{seed}_{name}_{rate:g}"
      shared = root / f"{backbone}_{rule}_{seed}_elastic"
      if is_measured and shared.exists():
        # One network answers for all; what each asks is counted by itself.
        directory.mkdir(parents=True, exist_ok=True)
        shutil.copytree(shared, directory / "elastic", dirs_exist_ok=True)
      begin = time.monotonic()
      planner = allocations.allocate(
        config, f"{rate:g}x", method, directory, quiet=True
      )
      seconds, evaluations = time.monotonic() - begin, 0
      if is_measured:
        [log] = directory.glob("losses_*.jsonl")
        evaluations = len(log.read_text().splitlines())
        report = json.loads((directory / "elastic/report/report.json").read_text())
        if shared.exists():
          # It was trained for another allocation, and counts for this one too.
          seconds += report["seconds"]
        else:
          whole = shared.with_name(shared.name + "_copied")
          shutil.rmtree(whole, ignore_errors=True)
          shutil.copytree(directory / "elastic", whole)
          whole.rename(shared)
      planners[f"{name} {rate:g}"] = {
        "planner": codec.encode(planner),
        "evaluations": evaluations,
        "measure_seconds": round(seconds, 1),
      }
      shutil.rmtree(directory, ignore_errors=True)
  return planners


def train(config: Config, workdir: Path) -> dict[str, Any]:
  """Trains a network as it is; what it found, as columns."""
  import jax

  import neural_epitome as ne

  keep_freed_memory()
  report = ne.run(config, workdir, quiet=True)
  shutil.rmtree(workdir, ignore_errors=True)
  return {
    "top1": round(100 * report["top1"], 3),
    "stored_params": report["stored_params"],
    "train_seconds": report["seconds"],
    "device": jax.devices()[0].device_kind,
    "commit": commit(),
  }


def summary(rows: list[dict[str, str]]) -> str:
  """Mean and standard deviation of top-1, and the mean difference to an even rate."""
  tops_by_setting: dict[tuple[str, ...], dict[str, dict[str, float]]] = {}
  for row in rows:
    setting = (row["backbone"], row["dataset"], row["rule"], row["rate"])
    seeds = tops_by_setting.setdefault(setting, {}).setdefault(row["allocation"], {})
    seeds[row["seed"]] = float(row["top1"])
  table = []
  for setting, allocations in sorted(tops_by_setting.items()):
    even = allocations.get("uniform", {})
    for name, seeds in allocations.items():
      tops = list(seeds.values())
      spread = statistics.stdev(tops) if len(tops) > 1 else math.nan
      paired = [top - even[seed] for seed, top in seeds.items() if seed in even]
      ahead = f"{statistics.fmean(paired):+.2f}" if paired else ""
      if len(paired) > 1:
        ahead += f" ± {statistics.stdev(paired):.2f}"
      accuracy = f"{statistics.fmean(tops):.2f} ± {spread:.2f} ({len(tops)})"
      table.append([*setting, name, accuracy, ahead])
  headers = [*COLUMNS[:5], "top-1 (seeds)", "against uniform"]
  return tabulate(table, headers, tablefmt="pipe")


def key(row: dict[str, Any]) -> tuple[str, ...]:
  """What a row is known by."""
  return tuple(str(row[name]) for name in KEY)


def main() -> None:
  """Runs what is missing, as far as --minutes goes."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument("--rates", type=float, nargs="*", default=[16.0, 8.0])
  parser.add_argument("--backbones", help="names, commas between; all by default")
  parser.add_argument("--minutes", type=float, default=math.inf, help="of this call")
  parser.add_argument("--quick", action="store_true", help="see that it runs")
  parser.add_argument("--workdir", type=Path, default=Path("runs/allocations"))
  parser.add_argument("--output", type=Path)
  options = parser.parse_args()
  deadline = time.monotonic() + 60 * options.minutes
  name = "allocations_quick" if options.quick else "allocations"
  output = options.output or common.RESULTS / f"{name}.csv"
  known = settings(options.quick)
  backbones = (options.backbones or ",".join(known)).split(",")
  for backbone in backbones:
    if backbone not in known:
      raise UserError(f"--backbones={backbone} is none of {', '.join(known)}.")
  root = options.workdir.absolute()
  groups = [
    (backbone, rule, seed)
    for seed in range(options.seeds)
    for backbone in backbones
    for rule in RULES
  ]
  pending = [
    (f"{b}-{r}-{s}-measured", (b, r, s, options.rates, options.quick, root))
    for b, r, s in groups
    if not (root / f"{b}-{r}-{s}-measured.json").exists()
  ]

  def keep_planners(label: str, planners: dict[str, Any]) -> str:
    (root / f"{label}.json").write_text(json.dumps(planners))
    return f"{len(planners)} allocations"

  root.mkdir(parents=True, exist_ok=True)
  workers.run_all(measure, pending, keep_planners, deadline=deadline)
  command = common.circumstances()["command"]
  done = {key(row) for row in read(output)}
  jobs, knowns = [], {}
  for backbone, rule, seed in groups:
    path = root / f"{backbone}-{rule}-{seed}-measured.json"
    for label, planned in (
      json.loads(path.read_text()) if path.exists() else {}
    ).items():
      allocation, rate = label.split()
      row = {"backbone": backbone, "rule": rule, "rate": rate, "seed": str(seed)}
      config = configure(backbone, rule, allocation, seed, options.quick)
      row |= {"dataset": config.data.dataset, "allocation": allocation}
      if key(row) in done:
        continue
      planner = codec.decode(BudgetPlanner, planned.pop("planner"))
      config = dataclasses.replace(config, planner=planner, search=None)
      name = "-".join(key(row))
      jobs.append((name, (config, root / name)))
      knowns[name] = row | planned | {"command": command}

  def keep(label: str, columns: dict[str, Any]) -> str:
    append(output, knowns[label] | columns, COLUMNS)
    return f"{columns['top1']:.2f}%"

  workers.run_all(train, jobs, keep, deadline=deadline)
  print(summary(read(output)))


if __name__ == "__main__":
  try:
    main()
  except UserError as error:
    sys.exit(f"error: {error}")
