"""Cells that people have made: those of `given_cells.json`, and any of a file."""

import functools
import json
from pathlib import Path
from typing import Any

from neural_epitome import codec
from neural_epitome.errors import FileError, UserError
from neural_epitome.models.cells import Cells, cell_from_json

_GIVEN = Path(__file__).with_name("given_cells.json")


def _json(path: Path) -> Any:
  try:
    return json.loads(path.read_text(encoding="utf-8"))
  except OSError as error:
    raise FileError(f"{path} cannot be read: {error.strerror}.") from None
  except ValueError as error:  # no text, or no JSON
    raise FileError(f"{path} is no JSON: {error}.") from None


@functools.cache
def _given() -> dict[str, Any]:
  return _json(_GIVEN)


def names() -> tuple[str, ...]:
  """Of the cells that come with the package."""
  return tuple(_given())


def from_json(data: Any, where: str) -> Cells:
  """Reads what `Cells.to_json` wrote.

  Raises:
    UserError: in one line, naming what is wrong.
  """
  if not isinstance(data, dict) or not {"normal", "reduction"} <= set(data):
    raise UserError(f"{where} must have the two cells normal and reduction.")
  parts = [
    cell_from_json(data[name], f"{where}.{name}") for name in ("normal", "reduction")
  ]
  return Cells(*parts)


def load_cells(name: str | Path) -> Cells:
  """The two cells of a name, or of a file.

  Args:
    name: `vgg`, `resnet` or `mobilenet_v2`, hand-made networks as cells (Guo et al.,
      arXiv 2102.10301); `enas` (Pham et al., arXiv 1802.03268) or `darts` (Liu et al.,
      arXiv 1806.09055), found by searches; or the path of a JSON file:
      {"normal": {"edges": [[from, to, "sep_conv_3x3"], ...], "outputs": [2, 3]},
      "reduction": ...}.

  Raises:
    UserError: if there is neither such a name nor such a file, or the file is no pair
      of cells.
  """
  if str(name) in _given():
    return from_json(_given()[str(name)], str(name))
  path = Path(name).expanduser()
  if not path.suffix and not path.exists():
    hint = codec.nearest(str(name), names())
    raise UserError(f"There are no cells {str(name)!r}, and no such file.{hint}")
  return from_json(_json(path), str(path))
