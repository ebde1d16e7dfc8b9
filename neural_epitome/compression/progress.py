"""A progress bar where tqdm is installed; with the core alone it is not."""

from collections.abc import Iterable
from typing import Any


def shown(items: Iterable[Any], quiet: bool, text: str) -> Iterable[Any]:
  """The items, with a bar named `text` on stderr while they last."""
  try:
    from tqdm import tqdm
  except ModuleNotFoundError:
    return items
  return tqdm(items, text, disable=quiet, leave=False)
