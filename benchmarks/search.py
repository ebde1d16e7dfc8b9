"""Searches and what they are made of, against their controls.

  python -m benchmarks.search --minutes=60 --seeds=3

Three questions, a row an answer in results/search.csv, written as it is known; what is
there is skipped, so it is completed over as many calls as it takes.

samplers    supernets trained by ordered dropout, single paths and sandwiches for the
            same wall clock: mean and worst top-1 of 30 fixed networks with their
            weights, and Kendall's tau against ten of them trained alone.
descents    on the supernet of ordered dropout: coordinate descent over several blocks,
            over single ones, and over several where no block may be left out;
            evolution, and random search with as many evaluations.
found       what they found, trained from the supernet's weights and anew, against the
            largest network with all channels scaled alike, 3x3 windows, to as many
            multiply-adds.

Choices are compared on held-out training images; what is trained in the end is also
read on the test split (`top1` of the stages final and baseline), and never before.
"""

import argparse
import csv
import dataclasses
import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from scipy import stats

import neural_epitome as ne
from benchmarks import common
from neural_epitome.allocator import keep_freed_memory
from neural_epitome.config import Config
from neural_epitome.models.arch import Arch
from neural_epitome.models.chain import ChainConfig
from neural_epitome.models.chain_space import ChainSpace
from neural_epitome.search import asking, slicing
from neural_epitome.search.answers import Answers
from neural_epitome.search.prices import Prices
from neural_epitome.search.strategies import (
  Evolution,
  NetAdapt,
  Problem,
  RandomSearch,
  Strategy,
)
from neural_epitome.training import loop, metrics, starting

EXPERIMENT, CLASSES = "netadaptv2_mobile", 10
SAMPLERS = ("ordered_dropout", "single_path", "sandwich")
BUDGET = 0.5
COLUMNS = [
  *("experiment", "dataset", "strategy", "seed", "stage", "seconds", "evaluations"),
  *("top1", "worst_top1", "latency_ms", "madds", "stored_bytes", "kendall_tau"),
  *("device", "command"),
]
Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Size:
  """How much is done.

  Attributes:
    seconds: a supernet trains for, compilation not counted.
    networks: fixed ones that supernets are compared on.
    alone: of them, trained alone.
    epochs: of a network alone, and of a final or baseline one.
    evaluations: of random search and evolution.
  """

  seconds: float = 150.0
  networks: int = 30
  alone: int = 10
  epochs: float = 6.0
  evaluations: int = 120


QUICK = Size(seconds=4.0, networks=4, alone=2, epochs=0.2, evaluations=8)


class Table:
  """results/NAME.csv, a row at a time."""

  def __init__(self, path: Path, command: str):
    """Reads what is there."""
    self._path, self._command = path, command
    self.rows: list[Row] = []
    if path.exists():
      with path.open(newline="") as file:
        self.rows = list(csv.DictReader(file))

  def find(self, strategy: str, seed: int, stage: str) -> Row | None:
    """The row of an answer, if it is known."""
    wanted = (strategy, str(seed), stage)
    found = (r for r in self.rows if (r["strategy"], r["seed"], r["stage"]) == wanted)
    return next(found, None)

  def add(self, strategy: str, seed: int, stage: str, **values: Any) -> Row:
    """Appends a row."""
    row = dict.fromkeys(COLUMNS, "") | values
    row |= {"experiment": EXPERIMENT, "dataset": "embedded", "strategy": strategy}
    row |= {"seed": str(seed), "stage": stage, "command": self._command}
    row["device"] = common.circumstances(("jax",))["machine"]
    self.rows.append({name: str(value) for name, value in row.items()})
    is_new = not self._path.exists()
    self._path.parent.mkdir(exist_ok=True)
    with self._path.open("a", newline="") as file:
      writer = csv.DictWriter(file, COLUMNS)
      if is_new:
        writer.writeheader()
      writer.writerow(row)
    print({name: value for name, value in row.items() if value != ""}, flush=True)
    return self.rows[-1]


class Bench:
  """The parts of one call."""

  def __init__(self, size: Size, root: Path, table: Table, deadline: float):
    self._size, self._root, self._table = size, root, table
    self._deadline = deadline
    self._config = ne.load_experiment(EXPERIMENT)
    self._space: ChainSpace = self._config.model.space
    self._prices = Prices(self._space, CLASSES, 1)
    self._fixed = self._space.sample(1234, count=size.networks)
    self._answers: dict[int, Answers] = {}

  def seed(self, seed: int) -> None:
    """Everything of one seed that is not known yet."""
    for sampler in SAMPLERS:
      self._once(f"{sampler}", seed, "supernet", self._supernet)
    if seed == 0:
      for number in range(self._size.alone):
        self._once(f"alone_{number}", seed, "baseline", self._alone)
      for sampler in SAMPLERS:
        self._once(f"{sampler}_ranked", seed, "supernet", self._ranked)
    for name in self._strategies():
      self._once(name, seed, "search", self._search)
    for name in ("netadaptv2", "random"):
      self._once(f"{name}_from_supernet", seed, "final", self._final)
    self._once("netadaptv2_from_scratch", seed, "final", self._final)
    self._once("width", seed, "baseline", self._width)

  def _once(
    self, strategy: str, seed: int, stage: str, run: Callable[[str, int], Row]
  ) -> None:
    if self._table.find(strategy, seed, stage) or time.monotonic() > self._deadline:
      return
    found = run(strategy, seed)
    if found:
      self._table.add(strategy, seed, stage, **found)

  def _supernet(self, sampler: str, seed: int) -> Row:
    directory = self._root / f"{sampler}_{seed}"
    config = self._supernet_config(sampler, seed)
    per_step = self._seconds_per_step(config)
    steps = self._size.seconds / per_step
    examples = 8000
    epochs = steps * config.data.batch_size / examples
    training = dataclasses.replace(config.training, epochs=epochs)
    report = loop.run(dataclasses.replace(config, training=training), directory)
    top1 = self._of_fixed(sampler, seed)
    return {
      "seconds": report["seconds"],
      "evaluations": len(top1),
      "top1": _percent(statistics.mean(top1)),
      "worst_top1": _percent(min(top1)),
    }

  def _supernet_config(self, sampler: str, seed: int) -> Config:
    config = self._config
    model = dataclasses.replace(config.model, sampler=sampler)
    training = dataclasses.replace(
      config.training, seed=seed, checkpoint_every=1e6, tensorboard=False
    )
    return dataclasses.replace(config, model=model, training=training, search=None)

  def _seconds_per_step(self, config: Config) -> float:
    """Of a short run, its compilation left out."""
    directory = self._root / "timing"
    shutil.rmtree(directory, ignore_errors=True)
    training = dataclasses.replace(config.training, epochs=0.4, log_every=5)
    loop.run(dataclasses.replace(config, training=training), directory, quiet=True)
    lines = [
      r for r in metrics.read(directory / "metrics.jsonl") if r["kind"] == "train"
    ]
    images = statistics.median(r["images_per_second"] for r in lines[2:])
    shutil.rmtree(directory)
    return config.data.batch_size / images

  def _of_fixed(self, sampler: str, seed: int) -> list[float]:
    answers = self._answers_of(sampler, seed)
    return [answers.of(arch)["top1"] for arch in self._fixed]

  def _answers_of(self, sampler: str, seed: int) -> Answers:
    key = (sampler, seed)
    if key not in self._answers:
      trained = ne.load(self._root / f"{sampler}_{seed}")

      def with_choice(variables: Any, arch: Arch) -> Any:
        return slicing.with_choice(variables, self._space, arch)

      self._answers = {key: Answers(trained, with_choice, self._config.search)}
    return self._answers[key]

  def _plain(
    self, network: ChainConfig, seed: int, *, start: str = "", tested: bool
  ) -> Config:
    """The run of a dense network by itself; `tested` where that is its last."""
    config, options = self._config, self._config.search
    data = config.data
    if tested:
      data = dataclasses.replace(
        data, train_split=options.final_train_split, evaluation_split="test"
      )
    training = dataclasses.replace(
      config.training,
      **{"epochs": self._size.epochs, "seed": seed, "start": start},
      **{"tensorboard": False, "checkpoint_every": 1e6, "reestimation_batches": 20},
    )
    return dataclasses.replace(
      config,
      model=network,
      data=data,
      training=training,
      search=None,
    )

  def _trained(self, name: str, config: Config) -> Row:
    report = loop.run(config, self._root / name)
    return {
      "seconds": report["seconds"],
      "top1": _percent(report["top1"]),
      "madds": report["madds"],
      "stored_bytes": report["stored_bytes"],
    }

  def _alone(self, name: str, seed: int) -> Row:
    arch = self._fixed[int(name.rpartition("_")[2])]
    return self._trained(
      name, self._plain(self._space.network(arch), seed, tested=False)
    )

  def _ranked(self, name: str, seed: int) -> Row:
    """Whether a supernet ranks networks as training them alone does."""
    sampler = name.removesuffix("_ranked")
    alone = [
      self._table.find(f"alone_{number}", seed, "baseline")
      for number in range(self._size.alone)
    ]
    if None in alone or not self._table.find(sampler, seed, "supernet"):
      return {}
    shared = self._of_fixed(sampler, seed)[: len(alone)]
    expected = [float(row["top1"]) for row in alone]
    tau = stats.kendalltau(shared, expected).statistic
    return {"evaluations": len(alone), "kendall_tau": round(float(tau), 3)}

  def _strategies(self) -> dict[str, tuple[Strategy, ChainSpace]]:
    space, count = self._space, self._size.evaluations
    fixed = dataclasses.replace(space, bypass=False)
    generations = max(2, count // 12)
    return {
      "netadaptv2": (NetAdapt(layers=2, samples=12), space),
      "netadapt_single": (NetAdapt(layers=1), space),
      "netadaptv2_without_bypass": (NetAdapt(layers=2, samples=12), fixed),
      "evolution": (Evolution(generations, max(2, count // generations), 6), space),
      "random": (RandomSearch(count), space),
    }

  def _search(self, name: str, seed: int) -> Row:
    strategy, space = self._strategies()[name]
    sampler = SAMPLERS[0]
    if not self._table.find(sampler, seed, "supernet"):
      return {}
    if name == "random":
      # With as many questions as the descent that it is a control of.
      row = self._table.find("netadaptv2", seed, "search")
      strategy = RandomSearch(int(row["evaluations"])) if row else strategy
    answers = self._answers_of(sampler, seed)

    def price(arch: Arch) -> float:
      return self._prices.of(arch)["madds"]

    of = Problem(space, price, BUDGET * price(self._space.largest), seed)
    begin = time.monotonic()
    known = asking.ask_all(of, strategy, lambda arch: answers.of(arch)["top1"])
    best = asking.best(of, known)
    seconds = time.monotonic() - begin
    directory = self._root / f"{name}_{seed}"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "arch.json").write_text(json.dumps(best.to_json()))
    return self._row_of(best) | {
      "seconds": round(seconds, 1),
      "evaluations": len(known),
      "top1": _percent(known[best]),
    }

  def _row_of(self, arch: Arch) -> Row:
    found = self._prices.of(arch)
    return {"madds": found["madds"], "stored_bytes": found["bytes"]}

  def _final(self, name: str, seed: int) -> Row:
    strategy, _, origin = name.rpartition("_from_")
    file = self._root / f"{strategy}_{seed}" / "arch.json"
    if not self._table.find(strategy, seed, "search") or not file.exists():
      return {}
    arch, start = self._space.load(file), ""
    if origin == "supernet":
      variables = self._answers_of(SAMPLERS[0], seed).calibrated(arch)
      variables = {part: variables[part] for part in ("params", "batch_stats")}
      sliced = slicing.slice_variables(jax.device_get(variables), self._space, arch)
      start = str(file.with_name("variables.npz"))
      starting.save(sliced, start)
    network = self._space.network(arch)
    config = self._plain(network, seed, start=start, tested=True)
    return self._trained(f"{name}_{seed}", config)

  def _width(self, name: str, seed: int) -> Row:
    """The largest network with all its channels scaled alike, to the same price."""
    budget = BUDGET * self._prices.of(self._space.largest)["madds"]
    space = narrowed(self._space, budget)
    config = self._plain(space.network(space.largest), seed, tested=True)
    return self._trained(f"{name}_{seed}", config)


def narrowed(space: ChainSpace, budget: float) -> ChainSpace:
  """The space whose largest network, all channels scaled alike, costs at most this."""
  best = None
  for step in range(20, 100):
    share = step / 100

    def scaled(channels: int, share: float = share) -> int:
      return max(4, round(channels * share / 4) * 4)

    candidate = dataclasses.replace(
      space,
      stages=tuple((e, scaled(c), n) for e, c, n in space.stages),
      stem=scaled(space.stem),
      head=scaled(space.head),
      width_step=4,
      windows=(3,),
    )
    if Prices(candidate, CLASSES, 1).of(candidate.largest)["madds"] <= budget:
      best = candidate
  assert best is not None
  return best


def _percent(share: float) -> float:
  return round(100 * share, 2)


def main() -> None:
  """Runs what is missing."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument(
    "--minutes", type=float, default=60.0, help="nothing begins later"
  )
  parser.add_argument("--quick", action="store_true", help="see that it runs")
  parser.add_argument("--workdir", type=Path, default=Path("runs/search_benchmark"))
  parser.add_argument("--output", default="", help="the CSV")
  options = parser.parse_args()
  keep_freed_memory()
  os.environ["JAX_PLATFORMS"] = os.environ.get("JAX_PLATFORMS", "cpu")
  name = "search_quick" if options.quick else "search"
  path = Path(options.output) if options.output else common.RESULTS / f"{name}.csv"
  command = "python -m benchmarks.search" + (" --quick" if options.quick else "")
  bench = Bench(
    QUICK if options.quick else Size(),
    options.workdir.absolute(),
    Table(path, command),
    time.monotonic() + 60 * options.minutes,
  )
  for seed in range(options.seeds):
    bench.seed(seed)


if __name__ == "__main__":
  sys.exit(main())
