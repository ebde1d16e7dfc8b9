"""Older versions of a plan's JSON form, converted to the newest.

Version 1 had no `bits`: a generator of kind `quantised` around another one had them, or
the configuration of the run. In version 2 every tensor has its own.
"""

from collections.abc import Mapping
from typing import Any


def without_quantised(generator: Any) -> tuple[Any, int]:
  """Converts the JSON of a generator from version 1 to version 2.

  Args:
    generator: JSON-ready data, perhaps of no generator at all.

  Returns:
    The generator without any `quantised` around it, and the bits of the innermost of
    these; 32 without one.
  """
  bits = 32
  while isinstance(generator, Mapping) and generator.get("kind") == "quantised":
    bits, generator = generator.get("bits", 8), generator.get("of", {"kind": "dense"})
  return generator, bits


def of_version_1(data: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, int]]:
  """Converts the JSON of a plan from version 1 to version 2.

  Args:
    data: JSON-ready data, whose form is not checked.

  Returns:
    The data in the form of version 2, and the bits of the kernels' tensors by path: 32
    for kernels whose generator was not `quantised`.
  """
  widths: dict[str, int] = {}
  kernels = data.get("kernels")
  if isinstance(kernels, Mapping):
    kernels = dict(kernels)
    for path, kernel in kernels.items():
      if isinstance(kernel, Mapping):
        generator, widths[path] = without_quantised(kernel.get("generator"))
        kernels[path] = {**kernel, "generator": generator}
  return {**data, "kernels": kernels, "version": 2}, widths
