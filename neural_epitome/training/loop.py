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
import threading
import time
from collections.abc import Iterator
from typing import Any

import jax

from neural_epitome import codec
from neural_epitome.checkpointing.checkpoints import Checkpoints
from neural_epitome.checkpointing.errors import explain_full_disk
from neural_epitome.config import Config
from neural_epitome.cost import plan_table
from neural_epitome.distributed import interruption
from neural_epitome.distributed.collectives import agreed
from neural_epitome.distributed.devices import prefetch, use_compilation_cache
from neural_epitome.errors import UserError
from neural_epitome.report import page, sentences, summary, tables
from neural_epitome.report.predictions import Predictions
from neural_epitome.runs import environment, malloc, metrics, profiling
from neural_epitome.runs.directory import RunDirectory
from neural_epitome.runs.progress import Progress
from neural_epitome.training import (
  batch_statistics,
  distillation,
  evaluation,
  initialization,
  optimizer,
  reporting,
  throughput,
)
from neural_epitome.training import state as states
from neural_epitome.training import step as steps
from neural_epitome.training.setup import Setup, prepare

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
    UserError: if the configuration or the directory is unfit, the steps to be traced
      do not exist, the disk is full, or loss or gradient stopped being finite (the
      status is then `diverged`).
    SystemExit: with code 143 after SIGTERM, once a checkpoint is saved; the same
      call resumes.
  """
  directory = RunDirectory(workdir)
  directory.check(config)
  quiet = quiet or jax.process_index() != 0
  if agreed(directory.status == "done"):
    if not quiet:
      print(f"{directory.path} is done; its report is {page.path(directory.report)}")
    return directory.saved_report()
  with explain_full_disk(directory.path), interruption.stop_on_sigterm() as stop:
    return _Run(config, directory, quiet, stop, profile_steps, command).complete()


class _Run:
  """The parts of one call of `run`, and what changes while it lasts."""

  def __init__(
    self,
    config: Config,
    directory: RunDirectory,
    quiet: bool,
    stop: threading.Event,
    profile_steps: range | None,
    command: str | None,
  ):
    self.started = time.monotonic()
    self.command = command
    self.config, self.directory, self.stop = config, directory, stop
    use_compilation_cache()
    self.setup: Setup = prepare(config)
    setup, options = self.setup, config.training
    profiling.check_steps(profile_steps, setup.total_steps)
    self.teach = None
    if options.teacher:
      self.teach = distillation.make_teacher(config, setup.classes, setup.mesh)
    directory.open(config, setup.plan, setup.classes)
    self.rule, self.schedule = optimizer.create(
      config.optimizer,
      total_steps=setup.total_steps,
      steps_per_epoch=setup.steps_per_epoch,
    )
    self.train_step = steps.make_train_step(
      setup.model,
      self.rule,
      self.schedule,
      setup.mesh,
      steps.StepOptions(
        seed=options.seed,
        label_smoothing=options.label_smoothing,
        mixup=config.data.augmentation.mixup,
        teacher_share=options.teacher_share,
        temperature=options.temperature,
        ema_decay=options.ema_decay,
        freeze_step=setup.freeze_step,
      ),
    )
    self.counter = evaluation.make_counter(setup.model, setup.mesh, examples=True)
    self.checkpoints = Checkpoints(
      directory.checkpoints,
      options.keep_checkpoints,
      {"plan": codec.encode(setup.plan), "config": codec.encode(config)},
    )
    self.quiet = quiet
    self._say_plan()
    self.state, record = self._restore_or_create()
    self.is_finished = bool(record.get("finished"))
    self.seconds_before = float(record.get("seconds", 0.0))
    self.step = int(self.state.step)
    self.saved_at = time.monotonic()
    self.log = metrics.Log(
      directory.metrics,
      directory.events if options.tensorboard else None,
      self.step,
    )
    self.progress = Progress(setup.total_steps, self.step, quiet)
    self.pending = metrics.Pending()
    self.meter = throughput.make_meter(config, setup)
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
      self.progress.close()
      self.log.close()
      self.checkpoints.close()

  def _restore_or_create(self) -> tuple[states.State, dict[str, Any]]:
    setup, options = self.setup, self.config.training
    init = states.initializer(
      setup.model,
      self.rule,
      setup.input_shape,
      ema=options.ema_decay > 0,
    )
    like = states.abstract(init, setup.mesh)
    restored = self.checkpoints.restore(like, self._say)
    if restored is None:
      state = states.create(init, options.seed, setup.mesh)
      if options.start:
        state = initialization.begin(
          state, options.start, setup.plan, self.config, self._say
        )
      return state, {}
    step = int(restored[0].step)
    setup.feed.bad.indices.update(restored[1].get("bad_examples", ()))
    self._say(f"Resuming {self.directory.path} at step {step}/{setup.total_steps}.")
    return restored

  def _say_plan(self) -> None:
    setup = self.setup
    told = [
      sentences.about_plan(self.config, setup.plan, setup.inventory),
      plan_table.plan_table(setup.plan, setup.inventory),
      sentences.about_rest(self.config, setup.plan, setup.inventory),
    ]
    self._say("\n\n".join(filter(None, told)) + "\n")

  def _say(self, text: str) -> None:
    if not self.quiet:
      print(text, flush=True)

  def _train(self) -> None:
    setup, options = self.setup, self.config.training
    interval = max(1, round(options.evaluate_every * setup.steps_per_epoch))
    total = setup.total_steps
    with contextlib.closing(setup.feed.training(self.step)) as source:
      batches = prefetch(itertools.islice(source, total - self.step), setup.mesh)
      has_compiled = False
      while self.step < total:
        is_due = options.evaluate_every > 0 and self.step and not self.step % interval
        if is_due and agreed(not self.log.has(self.step, "evaluation")):
          self._settle_all()
          self._evaluate()
        if self.profile.begins_at(self.step):
          self._settle_all()
          self.profile.start()
        with self.meter.input():
          batch = next(batches)
        waiting = self.progress.compiling() if not has_compiled else _NOTHING
        with profiling.marked(self.step), waiting:
          if self.teach is not None:
            batch = self.teach(batch)
          self.state, measured = self.train_step(self.state, batch)
        if not has_compiled:
          malloc.retire_fragments()
          has_compiled = True
        self.step += 1
        self.pending.add(self.step, measured)
        self._settle(self.pending.ready())
        if self.profile.ends_at(self.step):
          self._settle_all()
          self.profile.close()
        if not self.step % options.log_every:
          # Where several processes meet anyway, to decide alike.
          setup.feed.share_bad()
        stop, save = interruption.decide(
          self.stop, self.step, self._is_save_due(), options.log_every
        )
        if (stop or save) and self.step < total:
          # Never keep a state whose steps were not all seen to be finite.
          self._settle_all()
          self._save()
        if stop and self.step < total:
          self.checkpoints.wait()
          self.progress.say(
            f"Stopped by SIGTERM; saved step {self.step}/{total} in "
            f"{self.directory.path}. The same command resumes."
          )
          raise SystemExit(interruption.INTERRUPTED)
    self._settle_all()

  def _is_save_due(self) -> bool:
    age = time.monotonic() - self.saved_at
    return age >= self.config.training.checkpoint_every

  def _save(self, **more: Any) -> None:
    # Process 0 writes the record, of what all have met.
    self.setup.feed.share_bad()
    bad = sorted(self.setup.feed.bad.indices)
    self.checkpoints.save(self.state, seconds=self.seconds(), bad_examples=bad, **more)
    self.saved_at = time.monotonic()

  def _settle_all(self) -> None:
    """Waits for the devices, before something that is no step."""
    self.meter.pause()
    self._settle(self.pending.drain())

  def _settle(self, measured: Iterator[tuple[int, metrics.Values]]) -> None:
    for step, values in measured:
      self.meter.arrived()
      if not values["finite"]:
        self._diverged(step, values)
      is_kept = step % self.config.training.log_every == 0
      is_kept |= step == self.setup.total_steps
      speed = self.meter.read() if is_kept else {}
      self.progress.update(step, values["loss"], speed)
      if is_kept:
        kept = {name: v for name, v in values.items() if name != "finite"} | speed
        if bad := self.setup.feed.bad.indices:
          kept["bad_examples"] = len(bad)
        self.log.write(step, "train", kept | {"seconds": round(self.seconds(), 3)})

  def _diverged(self, step: int, values: metrics.Values) -> None:
    self.log.write(step, "train", values)
    self.checkpoints.wait()
    self.directory.set_status("diverged")
    kept = self.checkpoints.steps()
    last = f"the checkpoint of step {kept[-1]}" if kept else "no checkpoint yet"
    raise UserError(
      f"Training diverged at step {step}: loss {values['loss']:g}, gradient norm "
      f"{values['gradient_norm']:g}; kept: {last}. Lower "
      f"--config.optimizer.learning_rate={self.config.optimizer.learning_rate:g} or "
      "set --config.optimizer.clip_norm, with another --workdir."
    )

  def _evaluate(self) -> tuple[dict[str, dict[str, float]], dict[str, Predictions]]:
    with contextlib.closing(self.setup.feed.evaluation()) as batches:
      evaluations, predicted = evaluation.evaluate_examples(
        self.counter, self.state.weights(), batches, self.setup.mesh
      )
    self.setup.feed.share_bad()
    values = {}
    for name, shares in evaluations.items():
      suffix = "" if name == "raw" else f"_{name}"
      values |= {key + suffix: v for key, v in shares.items() if key != "examples"}
    self.log.write(self.step, "evaluation", values)
    measured = "  ".join(f"{k} {v:.4f}" for k, v in values.items())
    self.progress.say(f"step {self.step}/{self.setup.total_steps}  {measured}")
    return evaluations, predicted

  def _finish(self) -> dict[str, Any]:
    setup, options = self.setup, self.config.training
    if not self.is_finished:
      weights = self.state.weights()
      if options.reestimation_batches > 0 and self.state.batch_stats:
        measure = batch_statistics.make_measure(
          setup.model, setup.mesh, self.config.norm.momentum, options.seed
        )
        # The images that would have come next.
        with contextlib.closing(setup.feed.training(setup.total_steps)) as batches:
          chosen = itertools.islice(batches, options.reestimation_batches)
          weights = batch_statistics.reestimate(measure, weights, chosen, setup.mesh)
      self.state = self.state.replace(
        batch_stats=weights["raw"]["batch_stats"], ema=weights.get("ema", {})
      )
      self._save(finished=True)
    found, predicted = self._evaluate()
    self.checkpoints.wait()
    report = summary.make(
      self.config,
      setup.plan,
      setup.inventory,
      steps=self.step,
      seconds=self.seconds(),
      top1=found["raw"]["top1"],
      top1_ema=found["ema"]["top1"] if "ema" in found else None,
      bad=setup.feed.count_bad(found["raw"]["examples"]),
    )
    if jax.process_index() == 0:
      reporting.write(
        self.directory,
        self.config,
        setup,
        self.state,
        report=report,
        predicted=predicted,
        lines=self.log.lines,
        environment=environment.describe(self.command),
      )
    self.directory.set_status("done")
    self.progress.close()
    self._say(tables.result_table(report))
    self._say(f"Report: {page.path(self.directory.report)}")
    return report
