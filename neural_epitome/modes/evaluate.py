"""--mode=evaluate: top-1 of --workdir, or what its compressed weights lost."""

from collections.abc import Sequence

from tabulate import tabulate

from neural_epitome import flags
from neural_epitome.modes import loaded, output, processes, small_files
from neural_epitome.training import loading

SEVERAL_PROCESSES = True


def run(arguments: Sequence[str], overrides: flags.Overrides) -> None:
  """Runs the mode; see `modes`."""
  del arguments
  if small_files.are_given([flags.workdir()]):
    small_files.evaluate(flags.workdir(), overrides)
    return
  with processes.joined(is_preemptible=False) as is_first:
    trained = loaded.load(overrides)
    measured = loading.evaluate(trained)
    measured = {
      "experiment": trained.config.name,
      "dataset": trained.config.data.dataset,
      "split": trained.config.data.evaluation_split,
      "step": trained.step,
      "weights": trained.weights,
    } | measured
    if is_first:
      output.show(
        lambda: tabulate(measured.items(), tablefmt="plain", floatfmt=".4f"), measured
      )
