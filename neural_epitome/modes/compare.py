"""--mode=compare: finished runs, or compressed weights, beside each other."""

from collections.abc import Sequence
from pathlib import Path

from neural_epitome import flags
from neural_epitome.errors import UserError
from neural_epitome.modes import output, small_files
from neural_epitome.report import comparison, comparison_page, runs

SEVERAL_PROCESSES = False


def run(arguments: Sequence[str], overrides: flags.Overrides) -> None:
  """Runs the mode; see `modes`."""
  if not arguments:
    raise UserError("--mode=compare needs directories of runs: --mode=compare DIR...")
  paths = [Path(argument).expanduser() for argument in arguments]
  if small_files.are_given(paths):
    small_files.compare(paths, overrides)
    return
  if overrides:
    raise UserError(f"--config.{overrides[0][0]} changes nothing in finished runs.")
  weights = flags.weights()
  rows, left_out = runs.rows(runs.find(arguments), weights=weights)
  summary = comparison.summarise(rows, flags.BASELINE.value or comparison.BASELINES)
  directory = Path(flags.OUTPUT.value or "comparison").expanduser()
  files = comparison_page.write(directory, summary, left_out)

  def table() -> str:
    reasons = comparison_page.left_out_lines(left_out)
    parts = [comparison.table(summary), *(f"left out: {line}" for line in reasons)]
    return "\n".join([*parts, f"page: {files[0]}"])

  data = comparison_page.as_json(summary, left_out)
  output.show(table, data | {"files": [str(file) for file in files]})
