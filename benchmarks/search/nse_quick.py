"""What `nse_quick` finds, and in how long: python -m benchmarks.search.nse_quick.

A row a seed of the search from its command line's own configuration, and of two
controls that are trained as what it found is, equally long: a choice drawn at random
until one is in the window of prices that it searches, each operation on as often as the
budget is a share of the largest price, and the dearest network within the budget that
has the same operations in every cell. Accuracy is of the test split, which no search
has seen; processor seconds do not grow with what else a machine does.

Searches are kept in --workdir, and one that was interrupted goes on where it was; rows
that are in results/nse_quick.csv are not measured again.
"""

import argparse
import dataclasses
import itertools
import resource
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import neural_epitome as ne
from benchmarks import common, pages
from neural_epitome.config import Config
from neural_epitome.data.sources import open_source
from neural_epitome.search import job, parts
from neural_epitome.spaces.branches import Branches
from neural_epitome.spaces.multi_branch_space import MultiBranchSpace
from neural_epitome.strategies import Problem
from neural_epitome.training import loop

NAME, PAGE = "nse_quick", pages.DOCS / "search.md"
# One in four is in the window.
_DRAWN = 1000
SEARCH, RANDOM, SAME = "search", "random in the window", "same in every cell"


def of_seed(seed: int) -> Config:
  """The experiment, searched and trained with a seed."""
  config = ne.load_experiment(NAME)
  assert config.search is not None
  return dataclasses.replace(
    config,
    training=dataclasses.replace(config.training, seed=seed),
    search=dataclasses.replace(config.search, seed=seed),
  )


def in_the_window(config: Config, problem: Problem) -> Branches:
  """The first one drawn of a price that the search may find."""
  _, options = parts.of(config)
  space = problem.space
  assert isinstance(space, MultiBranchSpace)
  low, high = options.strategy.price_range(problem)
  often = np.full(space.usable.shape, options.share)
  drawn = space.drawn(often, problem.seed, count=_DRAWN)
  return next(arch for arch in drawn if low <= problem.price(arch) <= high)


def same_everywhere(problem: Problem) -> Branches:
  """The dearest choice within the budget with the same operations in every cell."""
  space = problem.space
  assert isinstance(space, MultiBranchSpace)
  own = np.flatnonzero(space.usable.all(axis=0))
  within: dict[float, Branches] = {}
  for on in itertools.product((0, 1), repeat=len(own)):
    if any(on):
      row = np.zeros(space.usable.shape[1], np.int32)
      row[own] = on
      arch = Branches(np.tile(row, (space.places, 1)))
      if (price := problem.price(arch)) <= problem.budget:
        within[price] = arch
  return within[max(within)]


def measure(what: str, seed: int, workdir: Path) -> dict[str, Any]:
  """Runs a search or trains a control; returns its row."""
  config = of_seed(seed)
  report: Mapping[str, Any]
  usage, begin = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
  if what == SEARCH:
    report: Mapping[str, Any] = job.run(config, workdir / str(seed), quiet=True)[
      "final"
    ]
  else:
    classes = len(open_source(config.data, config.data.train_split).classes)
    problem = parts.problem(config, parts.prices(config, classes))
    arch = same_everywhere(problem) if what == SAME else in_the_window(config, problem)
    final = parts.final_config(config, arch, classes, Path())
    report = loop.run(final, workdir / f"{seed}_{what.split()[0]}", quiet=True)
  seconds, used = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_SELF)
  processor = used.ru_utime + used.ru_stime - usage.ru_utime - usage.ru_stime
  return {
    "experiment": NAME,
    "dataset": config.data.dataset,
    "strategy": what,
    "seed": seed,
    "top1": round(100 * report["top1"], 2),
    "madds": report["madds"],
    "stored_params": report["stored_params"],
    "seconds": round(seconds, 1),
    "processor_seconds": round(processor, 1),
    "device": common.circumstances()["machine"],
  }


def table(rows: Sequence[Mapping[str, Any]]) -> str:
  """What was found beside its controls, mean and spread over seeds."""
  body = []
  for what in (SEARCH, RANDOM, SAME):
    of_it = [row for row in rows if row["strategy"] == what]
    tops = [float(row["top1"]) for row in of_it]
    spread = f" ± {statistics.stdev(tops):.1f}" if len(tops) > 1 else ""
    madds, params, seconds = (
      statistics.mean(float(row[name]) for row in of_it)
      for name in ("madds", "stored_params", "processor_seconds")
    )
    cells = (what, f"{statistics.mean(tops):.1f}{spread}", f"{madds / 1e6:.2f}M")
    body.append([*cells, f"{params:,.0f}", f"{seconds:.0f}"])
  headers = ["network", "top-1, %", "multiply-adds", "parameters", "processor seconds"]
  return pages.markdown(headers, body)


def main() -> None:
  """Measures what the CSV has not, a row at a time."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument("--workdir", type=Path, default=Path("runs/nse_quick"))
  arguments = parser.parse_args()
  # A first run compiles, and so does each here.
  jax.config.update("jax_enable_compilation_cache", False)
  for seed in range(arguments.seeds):
    for what in (SEARCH, RANDOM, SAME):
      known = common.read(NAME)
      if any((row["strategy"], row["seed"]) == (what, str(seed)) for row in known):
        continue
      row = measure(what, seed, arguments.workdir)
      print(row, flush=True)
      common.write(NAME, [row], kept=known)
  pages.write(PAGE, {NAME: table(common.read(NAME))})


if __name__ == "__main__":
  main()
