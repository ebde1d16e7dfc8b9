"""What a run measures as it trains: fetched late, checked, logged and shown."""

import math
from collections.abc import Callable, Iterator, Mapping

import jax

from neural_epitome.checkpointing.checkpoints import Checkpoints
from neural_epitome.config import Config
from neural_epitome.errors import UserError
from neural_epitome.runs import metrics
from neural_epitome.runs.directory import RunDirectory
from neural_epitome.runs.progress import Progress
from neural_epitome.training import throughput
from neural_epitome.training.setup import Setup


class Measurements:
  """The metrics of one call of `loop.run`, on their way to the log and the screen.

  Attributes:
    log: metrics.jsonl and the TensorBoard events.
    progress: what a person watching sees.
    meter: times the steps.
  """

  def __init__(
    self,
    config: Config,
    setup: Setup,
    directory: RunDirectory,
    checkpoints: Checkpoints,
    step: int,
    seconds: Callable[[], float],
    *,
    quiet: bool,
  ):
    """Opens the log as it stood after `step`.

    Args:
      config: the experiment.
      setup: of the run.
      directory: of the run; its status becomes `diverged` if training does.
      checkpoints: of the run; an error says which is the last.
      step: that training goes on from.
      seconds: returns the wall-clock seconds of the run so far.
      quiet: shows nothing.
    """
    self._config, self._setup = config, setup
    self._directory, self._checkpoints = directory, checkpoints
    self._seconds = seconds
    events = directory.events if config.training.tensorboard else None
    self.log = metrics.Log(directory.metrics, events, step)
    self.progress = Progress(setup.total_steps, step, quiet)
    self._pending = metrics.Pending()
    self.meter = throughput.make_meter(config, setup)

  def add(self, step: int, measured: Mapping[str, jax.Array]) -> None:
    """Queues the metrics of a step, and handles those of earlier ones.

    Args:
      step: steps done, this one included.
      measured: scalars on the devices, as `step.make_train_step` returns them.

    Raises:
      UserError: if loss or gradients of an earlier step are not finite.
    """
    self._pending.add(step, measured)
    self._handle(self._pending.ready())

  def flush(self) -> None:
    """Waits for the devices and handles all steps that are queued.

    Called before an evaluation, a save or a trace: the time until the next batch is
    then left out of the speed.

    Raises:
      UserError: if loss or gradients of one of them are not finite.
    """
    self.meter.pause()
    self._handle(self._pending.drain())

  def add_evaluation(
    self, step: int, evaluations: Mapping[str, Mapping[str, float]]
  ) -> None:
    """Logs and shows an evaluation after `step`.

    Args:
      step: steps done.
      evaluations: of each set of weights, as `evaluation.evaluate` returns them; names
        of metrics get the suffix `_ema` for the averaged weights.
    """
    values = {}
    for name, shares in evaluations.items():
      suffix = "" if name == "raw" else f"_{name}"
      values |= {key + suffix: v for key, v in shares.items() if key != "examples"}
    self.log.write(step, "evaluation", values)
    text = "  ".join(f"{k} {v:.4f}" for k, v in values.items())
    self.progress.say(f"step {step}/{self._setup.total_steps}  {text}")

  def close(self) -> None:
    """Removes the progress bar and closes the log."""
    self.progress.close()
    self.log.close()

  def _handle(self, measured: Iterator[tuple[int, metrics.Values]]) -> None:
    for step, values in measured:
      self.meter.arrived()
      if not values["finite"]:
        self._stop_diverged(step, values)
      is_logged = step % self._config.training.log_every == 0
      is_logged |= step == self._setup.total_steps
      speed = self.meter.read() if is_logged else {}
      self.progress.update(step, values["loss"], speed)
      if is_logged:
        line = {name: v for name, v in values.items() if name != "finite"} | speed
        if bad := self._setup.feed.bad.indices:
          line["bad_examples"] = len(bad)
        self.log.write(step, "train", line | {"seconds": round(self._seconds(), 3)})

  def _stop_diverged(self, step: int, values: metrics.Values) -> None:
    self.log.write(step, "train", values)
    self._checkpoints.wait()
    self._directory.set_status("diverged")
    saved = self._checkpoints.steps()
    last = f"the checkpoint of step {saved[-1]}" if saved else "no checkpoint yet"
    learning_rate = self._config.optimizer.learning_rate
    loss, norm = values["loss"], values["gradient_norm"]
    update = ", an update too large" if math.isfinite(loss + norm) else ""
    raise UserError(
      f"Training diverged at step {step}: loss {loss:g}, gradient norm {norm:g}"
      f"{update}; kept: {last}. Lower "
      f"--config.optimizer.learning_rate={learning_rate:g} or "
      "set --config.optimizer.clip_norm, with another --workdir."
    )
