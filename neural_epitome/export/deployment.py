"""What whoever runs an exported network must know, as JSON data: one record.

All formats carry the same: a compact file and a C header in the description of their
network, ONNX in its metadata under `KEY`, any other in a JSON file beside it.
"""

import hashlib
import pathlib
from collections.abc import Sequence
from typing import Any

from neural_epitome.data.options import Data, DataOptions, SignalOptions
from neural_epitome.epitome import plan_json
from neural_epitome.epitome.plan import Plan
from neural_epitome.runs import environment
from neural_epitome.training.trained import Trained

# In the metadata of a format that has such.
KEY = "neural_epitome"
# What a program calls its input and its output, where the format has names.
INPUT, OUTPUT = "images", "logits"


def record(trained: Trained) -> dict[str, Any]:
  """All that is needed to use a network beside its numbers, JSON-ready.

  Args:
    trained: the network that is exported, its plan that of its training.

  Returns:
    {"name", "input", "output", "classes": names by index of the output, "step" and
    "of": which weights of the run these are, "versions" of the libraries that exported
    it, "plan_digest": see `plan_digest`}. The input of a picture has its "layout", its
    "shape" without the batch, "channels", the "range" of its values before they are
    normalised: less "mean" and over "std", one a channel; and the "crop" and "resize"
    before that. That of a signal has "length" in samples, "sample_rate" in Hz or None,
    the "anchor" of what is cut, and its "normalisation".
  """
  classes = [*trained.classes]
  return {
    "name": trained.config.name,
    "input": {"name": INPUT, "dtype": "float32"} | _input(trained.config.data),
    "output": {"name": OUTPUT, "dtype": "float32", "shape": [len(classes)]},
    "classes": classes,
    "step": trained.step,
    "of": trained.weights,
    "versions": {name: environment.version(name) for name in ("neural_epitome", "jax")},
    "plan_digest": plan_digest(trained.plan),
  }


def plan_digest(plan: Plan) -> str:
  """SHA-256 of the plan, as `sha256sum` says of the `plan.json` of its run."""
  return hashlib.sha256(plan_json.to_json(plan).encode()).hexdigest()


def beside(path: pathlib.Path) -> pathlib.Path:
  """The file that holds the record of a file whose format has no place for it."""
  return path.with_name(path.name + ".json")


def _input(options: Data) -> dict[str, Any]:
  shape = [*options.input_shape]
  match options:
    case DataOptions():
      return {
        "kind": "image",
        "layout": "NHWC",
        "shape": shape,
        "channels": "RGB" if options.channels == 3 else "grey",
        "range": [0.0, 1.0],
        "mean": _a_channel(options.mean, options.channels),
        "std": _a_channel(options.std, options.channels),
        "turn": "EXIF orientation",
        "crop": {"what": "centre square", "of_short_side": options.crop_fraction},
        "resize": {
          "size": shape[:2],
          "filter": "bicubic",
          "before": "averaged by 2, 4 or 8 while twice the size or more",
        },
      }
    case SignalOptions():
      return {
        "kind": "signal",
        "layout": "NTC",
        "shape": shape,
        "length": options.length,
        "channels": options.channels,
        "range": [-1.0, 1.0],
        "sample_rate": options.sample_rate,
        "anchor": options.anchor,
        "normalisation": options.normalisation,
      }
    case _:  # an arm of another package
      return {"kind": options.kind, "shape": shape}


def _a_channel(values: Sequence[float], channels: int) -> list[float]:
  return [*values] if len(values) == channels else [*values] * channels
