"""A search from its configuration to a trained network: three stages, each resumable.

DIR/supernet/     the run that trains all choices at once
DIR/search/       options.json, log.jsonl (each evaluated choice), found.json (the
                  result); round_1/ and on, of a strategy that trains anew as it goes
DIR/final/        the run that trains the chosen network
DIR/report/       the page, and report.json
"""

import dataclasses
import functools
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from neural_epitome.checkpointing.errors import explain_unwritable
from neural_epitome.config import Config, checked
from neural_epitome.data.sources import open_source
from neural_epitome.distributed.collectives import agreed
from neural_epitome.errors import UserError
from neural_epitome.runs import lock
from neural_epitome.search import claims, driver, parts, results, rounds_told
from neural_epitome.search.weights import Weights, check_done
from neural_epitome.spaces.arch import ArchEncoding
from neural_epitome.strategies import Learned, Round
from neural_epitome.training import loop

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
    stages: of `STAGES`, those to run.
    quiet: prints nothing but what is skipped.
    command: command line of this search without `--stages`; the next command is printed
      from it. Empty prints none.

  Returns:
    The report of what is done: prices and accuracy of the choice, and seconds and
    evaluations of each stage.

  Raises:
    UserError: if the configuration is no search, the directory holds another one, the
      budget is below the smallest network, or a stage is to run before its input is
      there.
    SystemExit: with code 143 after SIGTERM, as `loop.run` raises it.
  """
  job = _Job(checked(config), Path(workdir), quiet, command)
  if "search" in stages:
    job.check()
  with lock.held(workdir), explain_unwritable(Path(workdir)):
    for name in STAGES:
      if name in stages:
        job.begin(name)
        getattr(job, name)()
    return job.report()


class _Job:
  """The parts of one call of `run`."""

  def __init__(self, config: Config, workdir: Path, quiet: bool, command: str):
    self._model, self._options = parts.of(config)
    self._config, self._workdir = config, workdir
    self._quiet = quiet or jax.process_index() != 0
    self._command = command
    self._space = self._model.space
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
    problem = parts.problem(self._config, parts.prices(self._config, self._classes))
    for warning in parts.warnings(self._config, problem):
      self._say(f"Note: {warning}")

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
    prices = parts.prices(self._config, self._classes)
    problem = parts.problem(self._config, prices)
    self._claim(directory)
    log = driver.Log(directory / "log.jsonl", self._space)

    strategy = self._options.strategy
    rounds: list[dict[str, Any]] = []

    def measure(arch: ArchEncoding) -> driver.Record:
      return weights.of(arch) | prices.of(arch)

    def top1(arch: ArchEncoding) -> float:
      return log.record(arch, measure, weights.round)["top1"]

    def train(asked: Round) -> Learned | None:
      rounds.append(rounds_told.of(asked))
      self._say(rounds_told.line(rounds, strategy.kind))
      return weights.train(asked, is_answered=weights.round + 1 in log.rounds)

    accuracies = driver.ask_all(problem, strategy, top1, train, quiet=self._quiet)
    best = driver.best(problem, accuracies)
    if best is None:
      raise UserError(
        f"No choice that config.search.strategy={strategy.kind} asked "
        f"for is within the budget of {problem.budget:,.6g}."
      )
    summary = {
      "arch": best.to_json(),
      "top1": accuracies[best],
      "price": prices.of(best),
      "largest": prices.of(self._space.largest),
      "metric": self._options.metric,
      "budget": problem.budget,
      "window": strategy.price_range(problem),
      "warnings": parts.warnings(self._config, problem),
      "rounds": rounds,
      # Of each architecture that the result was chosen from, the options it uses.
      "front": rounds_told.front(self._space, problem, strategy, accuracies),
      "evaluations": len(log.lines),
      "seconds": round(sum(line["seconds"] for line in log.lines), 1),
    }
    results.save_found(self._workdir, self._model, weights, best, summary)
    self._say(self._model.describe(best).table())
    return self._next("final")

  def final(self) -> None:
    """Trains the chosen network by itself, as a plain one."""
    variables = self._workdir / "search" / "variables.npz"
    arch = results.found_arch(self._workdir, self._space)
    config = parts.final_config(self._config, arch, self._classes, variables)
    loop.run(config, self._workdir / "final", quiet=self._quiet)
    if self._command:
      directory = shlex.quote(str(self._workdir / "final"))
      self._say(
        f"Next: python -m neural_epitome.main --mode=export --workdir={directory} "
        "--format=onnx"
      )

  def report(self) -> dict[str, Any]:
    """Writes the page of what is done."""
    report, page = results.report(self._workdir, self._config.name, self._model)
    if page is not None:
      self._say(f"Report: {page}")
    return report

  def _claim(self, directory: Path) -> None:
    report = self._workdir / "supernet" / "report" / "report.json"
    claims.claim(directory, self._space, self._options, report)
