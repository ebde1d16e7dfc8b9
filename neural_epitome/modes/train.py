"""--mode=train: trains, resumes, or says that it is done."""

import json
from collections.abc import Sequence

from neural_epitome import flags
from neural_epitome.modes import processes
from neural_epitome.runs import profiling
from neural_epitome.training import loop

SEVERAL_PROCESSES = True


def run(arguments: Sequence[str], overrides: flags.Overrides) -> None:
  """Runs the mode; see `modes`."""
  del arguments
  text = flags.PROFILE_STEPS.value
  profile_steps = None if text is None else profiling.parse_steps(text)
  with processes.joined(is_preemptible=True) as is_first:
    report = loop.run(
      flags.configuration(overrides),
      flags.workdir(),
      quiet=flags.JSON.value,
      profile_steps=profile_steps,
    )
    if flags.JSON.value and is_first:
      print(json.dumps(report, indent=2))
