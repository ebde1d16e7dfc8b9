"""A trace of a few steps, on request, for TensorBoard (XProf) or Perfetto.

Each process traces itself into a folder of its own, `profile/process_I`: processes of
one machine would otherwise write the same file, and where one is slow only its own
trace says why.
"""

import contextlib
import pathlib
import re
from collections.abc import Callable

import jax

from neural_epitome.errors import UserError


def parse_steps(text: str) -> range:
  """Parses START:END to range(START, END), the steps to trace.

  A step is named by the number of steps done before it: 100:105 traces from the end of
  step 100 to the end of step 105.

  Raises:
    UserError: if `text` is not two whole numbers, the second one larger.
  """
  match = re.fullmatch("([0-9]+):([0-9]+)", text)
  steps = range(*map(int, match.groups())) if match else range(0)
  if not steps:
    raise UserError(f"--profile_steps={text} must be START:END, as in 100:105.")
  return steps


def check_steps(steps: range | None, total: int) -> None:
  """Raises UserError unless all `steps` are among the `total` steps of a run."""
  if steps is not None and not (0 <= steps.start < steps.stop <= total):
    raise UserError(
      f"profile_steps={steps.start}:{steps.stop} do not lie in a run of {total} steps."
    )


class Profile:
  """Traces some steps of a run."""

  def __init__(
    self, steps: range | None, run: pathlib.Path, say: Callable[[str], None]
  ):
    """Traces nothing yet.

    Args:
      steps: the steps to trace, see `parse_steps`; None traces nothing.
      run: directory of the run.
      say: is called with a line once a trace is written.
    """
    self._steps, self._run, self._say = steps, run, say
    self._is_tracing = False

  def begins_at(self, step: int) -> bool:
    """Whether the next step, after `step`, is the first to be traced."""
    return self._steps is not None and not self._is_tracing and step in self._steps

  def ends_at(self, step: int) -> bool:
    """Whether `step` is the last that is traced."""
    return self._is_tracing and self._steps is not None and step >= self._steps.stop

  def start(self) -> None:
    """Starts the trace; call it when the devices have finished all steps."""
    options = jax.profiler.ProfileOptions()
    # Every call of Python would be traced too: slow, and far larger than the rest.
    options.python_tracer_level = 0
    jax.profiler.start_trace(self._directory(), profiler_options=options)
    self._is_tracing = True

  def close(self) -> None:
    """Ends and writes the trace, if one was asked for; says where it is.

    Call it when the devices have finished all steps.
    """
    if self._steps is None:
      return
    steps, self._steps = self._steps, None
    if not self._is_tracing:
      self._say(f"No trace: no step of {steps.start}:{steps.stop} was run.")
      return
    self._is_tracing = False
    jax.profiler.stop_trace()
    self._say(
      f"Trace in {self._directory()}. To see it: pip install tensorboard xprof; "
      f"tensorboard --logdir={self._run}. Or open its .trace.json.gz on "
      "https://ui.perfetto.dev."
    )

  def _directory(self) -> pathlib.Path:
    return self._run / "profile" / f"process_{jax.process_index()}"


def marked(step: int) -> contextlib.AbstractContextManager[None]:
  """A context for the call of a training step, which marks the step in traces."""
  return jax.profiler.StepTraceAnnotation("train", step_num=step)
