"""--mode=latency_table: times the blocks of a search's space on this machine."""

from collections.abc import Sequence
from pathlib import Path

from neural_epitome import flags
from neural_epitome.modes import output
from neural_epitome.report import search_page
from neural_epitome.search import latency_tables

SEVERAL_PROCESSES = False


def run(arguments: Sequence[str], overrides: flags.Overrides) -> None:
  """Runs the mode; see `modes`."""
  del arguments
  chosen = flags.configuration(overrides)
  path = Path(flags.OUTPUT.value or f"latency_{chosen.name}.json").expanduser()
  table = latency_tables.write(
    chosen,
    path,
    batch=flags.BATCH.value,
    networks=flags.NETWORKS.value,
    quiet=flags.JSON.value,
  )
  data = search_page.latency_summary(table) | {"file": str(path)}
  output.show(lambda: search_page.pairs(data), data)
