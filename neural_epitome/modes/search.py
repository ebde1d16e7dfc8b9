"""--mode=search: a supernet, a network found in it, and that network trained."""

from collections.abc import Sequence

from neural_epitome import codec, flags
from neural_epitome.errors import UserError
from neural_epitome.modes import output, processes
from neural_epitome.report import search_page
from neural_epitome.search import job

SEVERAL_PROCESSES = True


def run(arguments: Sequence[str], overrides: flags.Overrides) -> None:
  """Runs the mode; see `modes`."""
  del arguments
  stages = [name for value in flags.STAGES.value for name in value.split(",") if name]
  for name in stages:
    if name not in job.STAGES:
      suggestion = codec.nearest(name, job.STAGES)
      raise UserError(f"--stages={name} is no stage of a search.{suggestion}")
  with processes.joined(is_preemptible=True) as is_first:
    report = job.run(
      flags.configuration(overrides),
      flags.workdir(),
      stages or job.STAGES,
      quiet=flags.JSON.value,
      command=flags.command(overrides, without="stages"),
    )
    if is_first:
      output.show(lambda: search_page.result_table(report), report)
