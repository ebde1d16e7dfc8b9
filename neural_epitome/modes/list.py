"""--mode=list: all experiments and modes."""

from collections.abc import Sequence

from tabulate import tabulate

from neural_epitome import experiment, flags
from neural_epitome.modes import output

SEVERAL_PROCESSES = False


def run(arguments: Sequence[str], overrides: flags.Overrides) -> None:
  """Runs the mode; see `modes`."""
  del arguments, overrides
  experiments = {n: experiment.summary(f) for n, f in experiment.shipped().items()}

  def table() -> str:
    parts = [
      tabulate(experiments.items(), ["--experiment", "what it trains"]),
      tabulate(flags.MODES.items(), ["--mode", "what it does"]),
    ]
    return "\n\n".join(parts)

  output.show(table, {"experiments": experiments, "modes": flags.MODES})
