"""--mode=train: trains a run, resumes it, or says that it is done."""

from collections.abc import Sequence

from neural_epitome import flags
from neural_epitome.modes import output, processes
from neural_epitome.report import next_commands
from neural_epitome.runs import profiling
from neural_epitome.training import phases

SEVERAL_PROCESSES = True


def run(arguments: Sequence[str], overrides: flags.Overrides) -> None:
  """Runs the mode; see `modes`."""
  del arguments
  text = flags.PROFILE_STEPS.value
  profile_steps = None if text is None else profiling.parse_steps(text)
  with processes.joined(is_preemptible=True) as is_first:
    report = phases.run(
      flags.configuration(overrides),
      flags.workdir(),
      quiet=flags.JSON.value,
      profile_steps=profile_steps,
      command=flags.command(overrides),
    )
    if is_first:
      output.show(_next, report)


def _next() -> str:
  lines = next_commands.next_commands(flags.workdir()).values()
  return "\n".join(["Next:", *(f"  {line}" for line in lines)])
