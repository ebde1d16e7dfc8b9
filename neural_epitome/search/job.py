"""A search from its configuration to a trained network: three stages, each resumable.

DIR/supernet/     the run that trains all choices at once
DIR/search/       options.json, log.jsonl (what was asked, and the answers), found.json;
                  round_1/ and on, of a strategy that trains anew as it goes
DIR/final/        the run that trains the one that was found
DIR/report/       the page, and report.json
"""

import dataclasses
import functools
import hashlib
import json
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from neural_epitome import codec
from neural_epitome.config import Config
from neural_epitome.data.sources import open_source
from neural_epitome.distributed.collectives import agreed, wait_for_shared
from neural_epitome.errors import UserError
from neural_epitome.report import search_page
from neural_epitome.runs import directory as run_directory
from neural_epitome.search import driver, parts
from neural_epitome.search.weights import Weights, check_done
from neural_epitome.spaces import chain_generators, latency, slicing
from neural_epitome.spaces.arch import Arch
from neural_epitome.spaces.chain_space import ChainSpace
from neural_epitome.spaces.cost_model import UNITS, Prices
from neural_epitome.strategies import Problem
from neural_epitome.training import initialization, loop

STAGES = ("supernet", "search", "final")


def run(
  config: Config,
  workdir: str | os.PathLike,
  stages: Sequence[str] = STAGES,
  *,
  quiet: bool = False,
  command: str = "",
) -> dict[str, Any]:
  """Runs stages that are not done yet.

  Args:
    config: of a supernet, with `search`.
    workdir: see the module.
    stages: of `STAGES`, those that are wanted.
    quiet: prints nothing but what is skipped.
    command: that does the same without `--stages`, for those who are told what is next.

  Returns:
    The report of what is done: prices and accuracy of the choice, and seconds and
    evaluations of each stage.

  Raises:
    UserError: if the configuration is no search, the directory holds another one, the
      budget is below the smallest network, or a stage is wanted before its input.
    SystemExit: as `loop.run`.
  """
  job = _Job(config, Path(workdir), quiet, command)
  if "search" in stages:
    job.check()
  for name in STAGES:
    if name in stages:
      job.begin(name)
      getattr(job, name)()
  return job.report()


class _Job:
  """The parts of one call of `run`."""

  def __init__(self, config: Config, workdir: Path, quiet: bool, command: str):
    model, self._options = parts.of(config)
    self._config, self._workdir = config, workdir
    self._quiet = quiet or jax.process_index() != 0
    self._command = command
    self._space: ChainSpace = model.space
    self._space.check()
    image_size = config.data.input_shape[0]
    if self._space.image_size != image_size:
      raise UserError(
        f"config.model.space.image_size={self._space.image_size} is not "
        f"config.data.image_size={image_size}; set both alike."
      )
    if config.data.evaluation_split == self._options.final_evaluation_split:
      raise UserError(
        f"config.data.evaluation_split={config.data.evaluation_split!r} chooses, and "
        "config.search.final_evaluation_split is for what was chosen: they must differ."
      )

  def check(self) -> None:
    """Refuses what the search would, before a supernet has been trained for it."""
    if (self._workdir / "search" / "found.json").exists():
      return
    self._options.strategy.check()
    self._problem(self._prices())

  @functools.cached_property
  def _classes(self) -> int:
    data = self._config.data
    return data.classes or len(open_source(data, data.train_split).classes)

  def begin(self, stage: str) -> None:
    """Says which stage begins."""
    number = STAGES.index(stage) + 1
    self._say(f"== {number}/{len(STAGES)} {stage}: {self._workdir / stage}")

  def _say(self, text: str) -> None:
    if not self._quiet:
      print(text, flush=True)

  def _next(self, stage: str) -> None:
    if self._command:
      self._say(f"Next: {self._command} --stages={stage}")

  def supernet(self) -> None:
    """Trains all choices at once."""
    if self._options.strategy.trains:
      kind = self._options.strategy.kind
      self._say(f"search.strategy={kind} trains its own, in the next stage.")
      return self._next("search")
    config = dataclasses.replace(self._config, search=None)
    loop.run(config, self._workdir / "supernet", quiet=self._quiet)
    return self._next("search")

  def search(self) -> None:
    """Asks for choices until the strategy is done, and writes down the best."""
    directory = self._workdir / "search"
    if agreed((directory / "found.json").exists()):
      self._claim(directory)
      self._say(f"{directory} is done.")
      return self._next("final")
    weights = Weights(self._config, self._workdir, quiet=self._quiet)
    if not self._options.strategy.trains:
      check_done(weights.directory)
    prices = self._prices()
    problem = self._problem(prices)
    self._claim(directory)
    log = driver.Log(directory / "log.jsonl", self._space)

    def measure(arch: Arch) -> driver.Record:
      return weights.of(arch) | prices.of(arch)

    def top1(arch: Arch) -> float:
      return log.record(arch, measure, weights.round)["top1"]

    def train(space: ChainSpace) -> None:
      weights.train(space, is_answered=weights.round + 1 in log.rounds)

    strategy = self._options.strategy
    asked = driver.ask_all(problem, strategy, top1, train, quiet=self._quiet)
    best = driver.best(problem, asked)
    if best is None:
      raise UserError(
        f"No choice that config.search.strategy={strategy.kind} asked "
        f"for is within the budget of {problem.budget:,.6g}."
      )
    variables = weights.calibrated(best)
    if jax.process_index() == 0:
      variables = {name: variables[name] for name in ("params", "batch_stats")}
      sliced = slicing.slice_variables(jax.device_get(variables), self._space, best)
      initialization.save(sliced, directory / "variables.npz")
    found = {
      "arch": best.to_json(),
      "top1": asked[best],
      "price": prices.of(best),
      "largest": prices.of(self._space.largest),
      "metric": self._options.metric,
      "budget": problem.budget,
      "evaluations": len(log.lines),
      "seconds": round(sum(line["seconds"] for line in log.lines), 1),
    }
    run_directory.write(directory / "found.json", json.dumps(found, indent=2) + "\n")
    wait_for_shared(directory / "found.json")
    self._say(search_page.arch_table(self._space, best))
    return self._next("final")

  def final(self) -> None:
    """Trains what was found as the plain network that it is."""
    variables = self._workdir / "search" / "variables.npz"
    arch = self._found_arch()
    config = final_config(self._config, arch, self._classes, variables)
    loop.run(config, self._workdir / "final", quiet=self._quiet)
    if self._command:
      directory = shlex.quote(str(self._workdir / "final"))
      self._say(
        f"Next: python -m neural_epitome.main --mode=export --workdir={directory} "
        "--format=onnx"
      )

  def report(self) -> dict[str, Any]:
    """Writes the page of what is done."""
    found = self._workdir / "search" / "found.json"
    report: dict[str, Any] = {"experiment": self._config.name}
    rounds = self._workdir.glob("search/round_*")
    supernets = list(rounds) or [self._workdir / "supernet"]
    files = [directory / "report" / "report.json" for directory in supernets]
    if all(file.exists() for file in files):
      report["supernet"] = {"seconds": sum(_read(file)["seconds"] for file in files)}
    if found.exists():
      report["search"] = _read(found)
    final = self._workdir / "final" / "report" / "report.json"
    if final.exists():
      report["final"] = _read(final)
    if found.exists() and jax.process_index() == 0:
      log = driver.Log(self._workdir / "search" / "log.jsonl", self._space)
      directory = self._workdir / "report"
      page = search_page.write(
        directory, report, log.lines, self._space, self._found_arch()
      )
      self._say(f"Report: {page}")
    return report

  def _found_arch(self) -> Arch:
    path = self._workdir / "search" / "found.json"
    if not path.exists():
      raise UserError(f"{path} does not exist: --stages=search finds a network first.")
    return self._space.from_json(_read(path)["arch"], str(path))

  def _prices(self) -> Prices:
    options = self._options
    table = None
    if options.latency_table:
      table = latency.load(
        options.latency_table, self._space, anywhere=options.any_machine
      )
    elif options.metric == "latency":
      raise UserError(
        "config.search.metric=latency needs config.search.latency_table, a file that "
        "--mode=latency_table writes."
      )
    return Prices(self._space, self._classes, self._config.data.input_shape[-1], table)

  def _problem(self, prices: Prices) -> Problem:
    options, space = self._options, self._space
    metric, unit = options.metric, UNITS[options.metric]
    largest = prices.of(space.largest)[metric]
    smallest = prices.of(space.smallest)[metric]
    budget = options.budget or options.share * largest
    if budget < smallest:
      field = "budget" if options.budget else "share"
      raise UserError(
        f"config.search.{field}={getattr(options, field):g} is {budget:,.6g} {unit}, "
        f"below the smallest network of the space, which has {smallest:,.6g} (the "
        f"largest has {largest:,.6g})."
      )
    return Problem(space, lambda a: prices.of(a)[metric], budget, options.seed)

  def _claim(self, directory: Path) -> None:
    """Makes a directory this search's, or refuses another one's."""
    path = directory / "options.json"
    mine = codec.encode(self._options)
    # What comes after the search may differ, and where its table lies.
    mine = {
      name: value
      for name, value in mine.items()
      if not name.startswith("final_") and name not in ("latency_table", "any_machine")
    }
    mine = json.loads(json.dumps({"space": codec.encode(self._space)} | mine))
    # Answers are worth nothing with the weights, or the times, of another one.
    mine["supernet"] = _digest(self._workdir / "supernet" / "report" / "report.json")
    mine["table of latencies"] = _digest(Path(self._options.latency_table or "none"))
    if path.exists() and (theirs := _read(path)) != mine:
      names = [name for name in mine if theirs.get(name) != mine[name]]
      name = names[0] if names else "options"
      raise UserError(
        f"{directory} holds a search with another {name}; nothing was changed. Choose "
        "another --workdir, or remove that directory to search again."
      )
    run_directory.write(path, json.dumps(mine, indent=2) + "\n")


def final_config(config: Config, arch: Arch, classes: int, variables: Path) -> Config:
  """The configuration of the run that trains a choice as the plain network that it is.

  Args:
    config: of the search.
    arch: the choice.
    classes: number of classes.
    variables: where its own lie, cut out of the supernet.
  """
  supernet, options = parts.of(config)
  network = supernet.space.network(arch)
  rate = options.final_learning_rate or config.optimizer.learning_rate
  start = str(variables) if options.final_start == "supernet" else ""
  return dataclasses.replace(
    config,
    name=f"{config.name}_final",
    model=dataclasses.replace(network, dropout=supernet.dropout),
    planner=chain_generators.of_choice(supernet.space, arch, classes),
    data=dataclasses.replace(
      config.data,
      train_split=options.final_train_split,
      evaluation_split=options.final_evaluation_split,
    ),
    optimizer=dataclasses.replace(config.optimizer, learning_rate=rate),
    training=dataclasses.replace(
      config.training, epochs=options.final_epochs, start=start
    ),
    search=None,
  )


def _digest(path: Path) -> str:
  return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else ""


def _read(path: Path) -> dict[str, Any]:
  return json.loads(path.read_text(encoding="utf-8"))
