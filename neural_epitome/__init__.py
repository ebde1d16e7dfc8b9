"""Neural networks made small without changing their architecture.

    import neural_epitome as ne
    report = ne.run(config, "runs/mine")     # trains, or resumes
    trained = ne.load("runs/mine")           # .model, .variables, .plan, .classes
    small = ne.compress(params, "1.0MB")     # of any Flax model
    ne.input_importance(call, batches)       # what of it matters, for compress

Everything is imported when it is first used, so a part that needs an optional
library does not stand in the way of the others.
"""

import importlib
from typing import Any

_EXPORTS = {
  "Compressed": "neural_epitome.compression.compressed",
  "Config": "neural_epitome.config",
  "Plan": "neural_epitome.epitome.plan",
  "UserError": "neural_epitome.errors",
  "compress": "neural_epitome.compression.compress",
  "evaluate": "neural_epitome.training.loading",
  "input_importance": "neural_epitome.epitome.activations",
  "live": "neural_epitome.report.live",
  "load": "neural_epitome.training.loading",
  "load_experiment": "neural_epitome.experiment",
  "load_pretrained": "neural_epitome.training.pretrained",
  "run": "neural_epitome.training.loop",
}

__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
  if name not in _EXPORTS:
    raise AttributeError(f"module 'neural_epitome' has no attribute {name!r}")
  return getattr(importlib.import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
  return __all__
