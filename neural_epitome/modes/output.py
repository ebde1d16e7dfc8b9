"""Printing the result of a mode: as a table, or as JSON with --json."""

import json
from collections.abc import Callable
from typing import Any

from neural_epitome import flags


def show(table: Callable[[], str], data: Any) -> None:
  """Prints the result of a mode.

  Args:
    table: makes the text for people; not called with --json.
    data: the same result, JSON-ready, for --json.
  """
  print(json.dumps(data, indent=2) if flags.JSON.value else table())
