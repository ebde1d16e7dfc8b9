"""Constants of a C header, each under a name that no other one has."""

import json
import re
from typing import Any

import numpy as np

_TYPES = {
  "float32": "float",
  "int8": "int8_t",
  "int32": "int32_t",
  "uint8": "uint8_t",
  "uint16": "uint16_t",
  "uint32": "uint32_t",
}
# What `expand.h` and the header itself call theirs.
_TAKEN = (
  *("kernel", "kernels", "bits", "number", "weight", "expand"),
  *("of_window", "of_low_rank"),
)
# Letters of a name, as long ones are cut: some compilers tell apart no more.
_LONGEST = 56
_ROW = 96


class Constants:
  """Arrays of a header, in the order in which they are added.

  Attributes:
    nbytes: of all of them in memory.
  """

  def __init__(self) -> None:
    """No array; the names of `expand.h` are taken."""
    self._lines: list[str] = []
    self._names = {f"ne_{name}" for name in _TAKEN}
    self.nbytes = 0

  def add(self, words: str, array: np.ndarray) -> str:
    """Adds an array, and returns its name in C.

    Args:
      words: the name that it has elsewhere, of any letters; other arrays may have the
        same, or one that looks the same in C.
      array: of a type of C99, of any shape; written in row-major order.
    """
    name = self.name(words)
    self._lines.append(_text(name, array))
    self.nbytes += array.nbytes
    return name

  def name(self, words: str) -> str:
    """A name in C that is not taken, and is from now on."""
    stem = "ne_" + re.sub(r"[^0-9A-Za-z_]", "_", words.replace("/", "__"))[:_LONGEST]
    name, number = stem, 1
    while name in self._names:
      number += 1
      name = f"{stem}_{number}"
    self._names.add(name)
    return name

  def lines(self) -> list[str]:
    """Their definitions."""
    return self._lines


def comment(value: Any) -> str:
  """JSON in a comment, whatever the strings in it hold; it reads as it was."""
  text = re.sub(r"\*(?=/)|(?<=/)\*", r"\\u002a", json.dumps(value))
  # Two question marks may begin a trigraph.
  return "/* " + re.sub(r"(?<=\?)\?", r"\\u003f", text) + " */"


def _text(name: str, array: np.ndarray) -> str:
  flat, is_float = array.reshape(-1), array.dtype == np.float32
  texts = [f"{value:.9g}" for value in flat.tolist()] if is_float else map(str, flat)
  if is_float:
    texts = [text + ("f" if "." in text or "e" in text else ".0f") for text in texts]
  rows, row = [], ""
  for text in texts:
    if len(row) + len(text) > _ROW:
      rows, row = [*rows, row], ""
    row += text + ","
  body = "\n".join([*rows, row or "0,"])
  kind = _TYPES[str(array.dtype)]
  # C has no array of no numbers.
  return f"static const {kind} {name}[{max(flat.size, 1)}] = {{\n{body}\n}};"
