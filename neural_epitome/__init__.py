"""Neural networks made small without changing their architecture.

    import neural_epitome as ne
    layer = ne.EpitomeConv(64, (3, 3), rate=4)   # where nn.Conv stood
    report = ne.run(config, "runs/mine")     # trains, or resumes
    trained = ne.load("runs/mine")           # .model, .variables, .plan, .classes
    small = ne.compress(params, "1.0MB")     # of any Flax model
    ne.input_importance(call, batches)       # what of it matters, for compress

Everything is imported when it is first used, so a part that needs an optional
library does not stand in the way of the others. `__init__.pyi` beside this file says
what there is, and where it lives.
"""

import ast
import importlib
from pathlib import Path
from typing import Any


def _public_names() -> dict[str, str]:
  """The module of every public name."""
  text = Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")
  return {
    alias.name: str(node.module)
    for node in ast.parse(text).body
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
  }


_MODULES = _public_names()

__all__ = sorted(_MODULES)  # pyright: ignore[reportUnsupportedDunderAll] (the stub)


def __getattr__(name: str) -> Any:
  if name == "__version__":
    return _version()
  if name not in _MODULES:
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
  from neural_epitome import packages

  with packages.advised():
    if _MODULES[name] == __name__:
      return importlib.import_module(f"{__name__}.{name}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
  return [*__all__, "__version__"]


def _version() -> str:
  """That of the installed package; setup.cfg says it."""
  from importlib import metadata

  try:
    return metadata.version(__name__)
  except metadata.PackageNotFoundError:  # a checkout on the path, never installed
    return "0+unknown"
