"""One run, from a configuration to its report: `run(config, workdir)`.

The order of a resume: the directory is checked before anything is written; the
plan is made again and compared; shapes come from `eval_shape`; the newest whole
checkpoint is restored; the step comes out of the restored state, and with it the
position in the data, the metrics that are kept and the time already spent.

On one machine a run that was interrupted at any step and resumed ends bit for bit
as one that never was (on a GPU, with XLA_FLAGS=--xla_gpu_deterministic_ops=true).
"""

import contextlib
import itertools
import os
import time
from typing import Any

import jax

from neural_epitome import codec
from neural_epitome.checkpointing.checkpoints import Checkpoints
from neural_epitome.checkpointing.errors import explain_unwritable
from neural_epitome.config import Config, checked
from neural_epitome.distributed import interruption
from neural_epitome.distributed.collectives import agreed
from neural_epitome.distributed.devices import prefetch, use_compilation_cache
from neural_epitome.report import page, summary, tables
from neural_epitome.report.predictions import Predictions
from neural_epitome.runs import claims, environment, malloc, profiling
from neural_epitome.runs import lock as locks
from neural_epitome.runs.directory import RunDirectory
from neural_epitome.training import (
  batch_statistics,
  evaluation,
  gate_learning,
  reporting,
  resumption,
)
from neural_epitome.training.measurements import Measurements
from neural_epitome.training.programs import make_programs
from neural_epitome.training.setup import prepare

_NOTHING = contextlib.nullcontext()


def run(
  config: Config,
  workdir: str | os.PathLike,
  *,
  quiet: bool = False,
  profile_steps: range | None = None,
  command: str | None = None,
) -> dict[str, Any]:
  """Trains, or resumes, or finds it done.

  Args:
    config: the experiment.
    workdir: the run directory; made where it is not.
    quiet: prints nothing but what is skipped.
    profile_steps: range(100, 105) traces what is done from step 100 until step 105
      is, into the run directory (see `profiling`).
    command: the command line that asks for this run, for its page; None for a call
      from Python.

  Returns:
    The report, as in report/report.json (see `report.summary`).

  Raises:
    UserError: if the configuration or the directory is unfit, another process is
      training there, the steps to be traced do not exist, the disk is full or cannot be
      reached, or loss or gradient stopped being finite (the status is then
      `diverged`).
    SystemExit: with code 143 after SIGTERM, once a checkpoint is saved; the same
      call resumes.
    KeyboardInterrupt: likewise after Ctrl-C.
  """
  directory, config = RunDirectory(workdir), checked(config)
  claims.check(directory, config)
  quiet = quiet or jax.process_index() != 0
  if agreed(directory.status == "done"):
    if not quiet:
      print(f"{directory.path} is done; its report is {page.path(directory.report)}")
    return directory.saved_report()
  with (
    locks.held(directory.path) as lock,
    explain_unwritable(directory.path),
    interruption.stop_on_signals() as stop,
  ):
    parts = (directory, lock, quiet, stop, profile_steps, command)
    return _Run(config, *parts).complete()


class _Run:
  """The parts of one call of `run`, and what changes while it lasts."""

  def __init__(
    self,
    config: Config,
    directory: RunDirectory,
    lock: locks.Lock | None,
    quiet: bool,
    stop: interruption.Stop,
    profile_steps: range | None,
    command: str | None,
  ):
    self.started = time.monotonic()
    self.command = command
    self.config, self.directory, self.stop = config, directory, stop
    self.lock = lock
    use_compilation_cache()
    setup = self.setup = prepare(config)
    profiling.check_steps(profile_steps, setup.total_steps)
    self.programs = make_programs(config, setup)
    identity = setup.feed.identity
    changes = claims.claim(directory, config, setup.plan, setup.classes, identity)
    self.checkpoints = Checkpoints(
      directory.checkpoints,
      config.training.keep_checkpoints,
      {"plan": codec.encode(setup.plan), "config": codec.encode(config)},
    )
    self.quiet = quiet
    self._say(reporting.introduction(config, setup, changes))
    self.state, record = resumption.restore_or_create(
      config, setup, self.programs, self.checkpoints, directory, self._say
    )
    self.is_finished = bool(record.get("finished"))
    self.seconds_before = float(record.get("seconds", 0.0))
    self.step = int(self.state.step)
    self.saved_at = time.monotonic()
    self.measurements = Measurements(
      config, setup, directory, self.checkpoints, self.step, self.seconds, quiet=quiet
    )
    self.progress = self.measurements.progress
    self.profile = profiling.Profile(profile_steps, directory.path, self.progress.say)

  def seconds(self) -> float:
    """Wall-clock seconds of the run so far, earlier sessions included."""
    return self.seconds_before + time.monotonic() - self.started

  def complete(self) -> dict[str, Any]:
    """Trains to the last step, finishes, reports."""
    try:
      self._train()
      return self._finish()
    finally:
      self.profile.close()
      self.measurements.close()
      self.checkpoints.close()

  def _say(self, text: str) -> None:
    if not self.quiet:
      print(text, flush=True)

  def _train(self) -> None:
    setup, options = self.setup, self.config.training
    interval = max(1, round(options.evaluate_every * setup.steps_per_epoch))
    total = setup.total_steps
    programs = self.programs
    with (
      contextlib.closing(setup.feed.training(self.step)) as source,
      gate_learning.learning(
        programs.gates, programs.learn, setup, self.step
      ) as after_step,
    ):
      batches = prefetch(itertools.islice(source, total - self.step), setup.mesh)
      has_compiled = False
      while self.step < total:
        is_due = options.evaluate_every > 0 and self.step and not self.step % interval
        if is_due and agreed(not self.measurements.log.has(self.step, "evaluation")):
          self.measurements.flush()
          self._evaluate()
        if self.profile.begins_at(self.step):
          self.measurements.flush()
          self.profile.start()
        with self.measurements.meter.input():
          batch = next(batches)
        waiting = self.progress.compiling() if not has_compiled else _NOTHING
        with profiling.marked(self.step), waiting:
          if programs.teach is not None:
            batch = programs.teach(batch)
          self.state, measured = programs.train_step(self.state, batch)
          self.state = after_step(self.step + 1, self.state)
        if not has_compiled:
          malloc.retire_fragments()
          has_compiled = True
        self.step += 1
        self.measurements.add(self.step, measured)
        if self.profile.ends_at(self.step):
          self.measurements.flush()
          self.profile.close()
        if not self.step % options.log_every:
          # Where several processes meet anyway, to decide alike.
          setup.feed.share_bad()
        stop, save = interruption.decide(
          self.stop, self.step, self._is_save_due(), options.log_every
        )
        if (stop or save) and self.step < total:
          # Never keep a state whose steps were not all seen to be finite.
          self.measurements.flush()
          self._save()
        if stop and self.step < total:
          self.checkpoints.wait()
          saved = f"step {self.step}/{total} in {self.directory.path}"
          self.stop.end(saved, self.progress.say)
    self.measurements.flush()

  def _is_save_due(self) -> bool:
    age = time.monotonic() - self.saved_at
    return age >= self.config.training.checkpoint_every

  def _save(self, **more: Any) -> None:
    if self.lock is not None:
      self.lock.check()
    # Process 0 writes the record, of what all have met.
    self.setup.feed.share_bad()
    bad = sorted(self.setup.feed.bad.indices)
    self.checkpoints.save(self.state, seconds=self.seconds(), bad_examples=bad, **more)
    self.saved_at = time.monotonic()

  def _evaluate(self) -> tuple[dict[str, dict[str, float]], dict[str, Predictions]]:
    with contextlib.closing(self.setup.feed.evaluation()) as batches:
      evaluations, predicted = evaluation.evaluate_examples(
        self.programs.counter, self.state.weights(), batches, self.setup.mesh
      )
    self.setup.feed.share_bad()
    self.measurements.add_evaluation(self.step, evaluations)
    return evaluations, predicted

  def _finish(self) -> dict[str, Any]:
    setup = self.setup
    if not self.is_finished:
      self.state = batch_statistics.reestimate_state(self.config, setup, self.state)
      self._save(finished=True)
    shares, predicted = self._evaluate()
    self.checkpoints.wait()
    report = summary.make(
      self.config,
      setup.plan,
      setup.inventory,
      steps=self.step,
      seconds=self.seconds(),
      top1=shares["raw"]["top1"],
      top1_ema=shares["ema"]["top1"] if "ema" in shares else None,
      bad=setup.feed.count_bad(shares["raw"]["examples"]),
    )
    if jax.process_index() == 0:
      reporting.write(
        self.directory,
        self.config,
        setup,
        self.state,
        report=report,
        predicted=predicted,
        lines=self.measurements.log.lines,
        environment=environment.describe(self.command),
      )
    self.directory.set_status("done")
    self.progress.close()
    self._say(tables.result_table(report))
    self._say(f"Report: {page.path(self.directory.report)}")
    return report
