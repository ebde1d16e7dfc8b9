"""What a mode prints: a table, or with --json the same as data."""

import json
from collections.abc import Callable
from typing import Any

from neural_epitome import flags


def show(table: Callable[[], str], data: Any) -> None:
  """Prints `data` as JSON where --json asks for it, and `table()` otherwise."""
  print(json.dumps(data, indent=2) if flags.JSON.value else table())
