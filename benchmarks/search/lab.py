"""What the parts of the search benchmark share: supernets, searches, trainings."""

import dataclasses
import json
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

import neural_epitome as ne
from benchmarks.search.rows import Row, Table
from neural_epitome.config import Config
from neural_epitome.errors import UserError
from neural_epitome.models.chain import ChainConfig
from neural_epitome.runs import metrics
from neural_epitome.search import driver
from neural_epitome.search.evaluator import Answers
from neural_epitome.spaces import chain_generators, slicing
from neural_epitome.spaces.arch import Arch
from neural_epitome.spaces.chain_space import ChainSpace
from neural_epitome.spaces.cost_model import UNITS, Prices
from neural_epitome.strategies import Problem, Round, Strategy
from neural_epitome.training import initialization, loop
from neural_epitome.training.feed import Feed


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


class Lab:
  """One search experiment, its runs in one directory.

  Attributes:
    config: of the experiment.
    space: its choices.
    size: how much is done.
    table: what is known.
    examples: in the split that supernets train on.
    classes: number of classes.
  """

  def __init__(
    self, config: Config, size: Size, root: Path, table: Table, deadline: float
  ):
    self.config, self.size, self.table = config, size, table
    self.space: ChainSpace = config.model.space
    self._root, self.deadline = root, deadline
    feed = Feed(config)
    self.examples, self.classes = feed.examples, len(feed.classes)
    self._answers: dict[tuple[str, int], Answers] = {}

  def once(
    self, strategy: str, seed: int, stage: str, run: Callable[[str, int], Row]
  ) -> None:
    """Adds a row, unless it is known, what it needs is not, or time is over."""
    if self.table.find(strategy, seed, stage) or time.monotonic() > self.deadline:
      return
    columns = run(strategy, seed)
    if columns:
      self.table.add(strategy, seed, stage, **columns)

  def directory(self, name: str, seed: int) -> Path:
    """Where a run of that name lies."""
    return self._root / f"{name}_{seed}"

  def with_space(self, space: ChainSpace, name: str, share: float) -> "Lab":
    """The same for another space, in a directory below, its supernets for less time.

    Args:
      space: its choices.
      name: of the directory.
      share: of the seconds.
    """
    model = dataclasses.replace(self.config.model, space=space)
    config = dataclasses.replace(self.config, model=model)
    size = dataclasses.replace(self.size, seconds=share * self.size.seconds)
    return Lab(config, size, self._root / name, self.table, self.deadline)

  def train_supernet(self, sampler: str, seed: int) -> float:
    """Trains for as many seconds as `size` says; returns those that it took."""
    config = self.config
    model = dataclasses.replace(config.model, sampler=sampler)
    training = dataclasses.replace(
      config.training, seed=seed, checkpoint_every=1e6, tensorboard=False
    )
    config = dataclasses.replace(config, model=model, training=training, search=None)
    file = self.directory(sampler, seed).with_suffix(".json")
    if not file.exists():  # A run that was cut short goes on to the same end.
      steps = self.size.seconds / self._seconds_per_step(config)
      file.parent.mkdir(parents=True, exist_ok=True)
      file.write_text(
        json.dumps({"epochs": steps * config.data.batch_size / self.examples})
      )
    training = dataclasses.replace(training, **json.loads(file.read_text()))
    config = dataclasses.replace(config, training=training)
    return loop.run(config, self.directory(sampler, seed))["seconds"]

  def _seconds_per_step(self, config: Config) -> float:
    """Of a short run, its compilation left out."""
    directory = self._root / "timing"
    shutil.rmtree(directory, ignore_errors=True)
    epochs = 50 * config.data.batch_size / self.examples
    training = dataclasses.replace(config.training, epochs=epochs, log_every=5)
    loop.run(dataclasses.replace(config, training=training), directory, quiet=True)
    lines = [
      r for r in metrics.read(directory / "metrics.jsonl") if r["kind"] == "train"
    ]
    images = statistics.median(r["images_per_second"] for r in lines[2:])
    shutil.rmtree(directory)
    return config.data.batch_size / images

  def answers(self, sampler: str, seed: int) -> Answers:
    """Of a supernet that is trained; the last one asked for is kept."""
    key = (sampler, seed)
    if key not in self._answers:

      def with_choice(variables: Any, arch: Arch) -> Any:
        return slicing.with_choice(variables, self.space, arch)

      if not self.directory(sampler, seed).exists():
        # Its row came with the CSV, and its weights did not.
        print(f"{sampler}, seed {seed}: trained again, for what is read off it")
        self.train_supernet(sampler, seed)
      trained = ne.load(self.directory(sampler, seed))
      self._answers = {key: Answers(trained, with_choice, self.config.search)}
    return self._answers[key]

  def search(
    self, name: str, sampler: str, seed: int, strategy: Strategy, problem: Problem
  ) -> Row:
    """Finds the best choice in a supernet and keeps it as NAME_SEED/arch.json."""
    answers, begin = self.answers(sampler, seed), time.monotonic()
    _, row = self.ask(
      name, seed, strategy, problem, lambda arch: answers.of(arch)["top1"]
    )
    return row | {"seconds": round(time.monotonic() - begin, 1)}

  def ask(
    self,
    name: str,
    seed: int,
    strategy: Strategy,
    problem: Problem,
    top1: Callable[[Arch], float],
    train: Callable[[Round], None] | None = None,
  ) -> tuple[Arch, Row]:
    """The best choice, and its row but for the seconds.

    Args:
      name: of the search.
      seed: of it.
      strategy: what is asked for next.
      problem: what is searched for.
      top1: of a choice.
      train: see `driver.ask_all`.
    """
    evaluations = 0

    def counted(arch: Arch) -> float:
      nonlocal evaluations
      evaluations += 1
      return top1(arch)

    known = driver.ask_all(problem, strategy, counted, train)
    best = driver.best(problem, known)
    if best is None:
      raise UserError(f"{name}: nothing that was asked for is within the budget.")
    directory = self.directory(name, seed)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "arch.json").write_text(json.dumps(best.to_json()))
    price = Prices(self.space, self.classes, self.config.data.channels).of(best)
    return best, {
      "evaluations": evaluations,
      "top1": percent(known[best]),
      "madds": price["madds"],
      "stored_bytes": price["bytes"],
    }

  def arch(self, name: str, seed: int) -> Arch | None:
    """What a search kept, if it was done in this directory."""
    file = self.directory(name, seed) / "arch.json"
    if not file.exists():
      return None
    return self.space.from_json(json.loads(file.read_text()), str(file))

  def cut_out(self, directory: Path, sampler: str, seed: int, arch: Arch) -> str:
    """A choice's own variables as a file to start from, in a directory."""
    variables = self.answers(sampler, seed).calibrated(arch)
    variables = {part: variables[part] for part in ("params", "batch_stats")}
    sliced = slicing.slice_variables(jax.device_get(variables), self.space, arch)
    path = directory / "variables.npz"
    initialization.save(sliced, path)
    return str(path)

  def final(self, search: str, sampler: str, seed: int, origin: str) -> Row:
    """Trains what a search kept, from a supernet's weights or from scratch.

    Args:
      search: which one; no row if it was not done in this directory.
      sampler: of the supernet that was searched.
      seed: of both.
      origin: `supernet`, `scratch`, or `own`, the choice's as it was trained by itself.
    """
    arch = self.arch(search, seed)
    if arch is None:
      return {}
    start = ""
    if origin == "supernet":
      start = self.cut_out(self.directory(search, seed), sampler, seed, arch)
    elif origin == "own":
      start = str(self.directory(search, seed) / "variables.npz")
    config = self.plain(self.space.network(arch), seed, start=start, tested=True)
    planner = chain_generators.of_choice(self.space, arch, self.classes)
    config = dataclasses.replace(config, planner=planner)
    return self.train(f"{search}_from_{origin}", seed, config)

  def plain(
    self, network: ChainConfig, seed: int, *, start: str = "", tested: bool
  ) -> Config:
    """The run of a dense network by itself; `tested` where that is its last."""
    config, options = self.config, self.config.search
    data = config.data
    if tested:
      data = dataclasses.replace(
        data,
        train_split=options.final_train_split,
        evaluation_split=options.final_evaluation_split,
      )
    training = dataclasses.replace(
      config.training,
      **{"epochs": self.size.epochs, "seed": seed, "start": start},
      **{"tensorboard": False, "checkpoint_every": 1e6, "reestimation_batches": 20},
    )
    return dataclasses.replace(
      config, model=network, data=data, training=training, search=None
    )

  def longer(self, config: Config, seconds: float, each: float) -> Config:
    """The same run for so many seconds, where as it is it takes `each`."""
    training = config.training
    training = dataclasses.replace(training, epochs=training.epochs * seconds / each)
    return dataclasses.replace(config, training=training)

  def seconds(self, seed: int, **stages: str) -> float | None:
    """The seconds of rows together, by stage; None while one is missing."""
    rows = [self.table.find(name, seed, stage) for stage, name in stages.items()]
    return None if None in rows else sum(float(row["seconds"]) for row in rows)

  def train(self, name: str, seed: int, config: Config) -> Row:
    """Trains a network by itself."""
    report = loop.run(config, self.directory(name, seed))
    return {
      "seconds": report["seconds"],
      "top1": percent(report["top1"]),
      "madds": report["madds"],
      "stored_bytes": report["stored_bytes"],
    }


def narrowed(space: ChainSpace, share: float, multiple: int = 2) -> ChainSpace:
  """A space whose largest network has fewer channels everywhere, and 3x3 windows.

  Args:
    space: the one that is narrowed.
    share: of its channels.
    multiple: that channels are rounded to.
  """

  def scaled(channels: int) -> int:
    return max(4, round(channels * share / multiple) * multiple)

  return dataclasses.replace(
    space,
    stages=tuple((e, scaled(c), n) for e, c, n in space.stages),
    stem=scaled(space.stem),
    head=scaled(space.head),
    width_step=2,
    windows=(3,),
    rates=(1,),
    bits=(32,),
  )


def narrowed_to(
  space: ChainSpace, classes: int, channels: int, metric: str, budget: float
) -> ChainSpace:
  """The widest scaling of a space's largest network within a budget.

  Args:
    space: see `narrowed`.
    classes: of the network.
    channels: of its images.
    metric: of the budget, as in `spaces.cost_model`.
    budget: in its units.

  Raises:
    UserError: if the narrowest costs more.
  """
  widest = None
  for step in range(5, 100):
    candidate = narrowed(space, step / 100)
    price = Prices(candidate, classes, channels).of(candidate.largest)
    if price[metric] <= budget:
      widest = candidate
  if widest is None:
    raise UserError(
      f"No scaling of the largest network is within {budget:,.0f} {UNITS[metric]}."
    )
  return widest


def percent(share: float) -> float:
  """With two decimals."""
  return round(100 * share, 2)
