"""What a compact file must say of the file that its weights came from."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from neural_epitome import codec
from neural_epitome.errors import UserError
from neural_epitome.state_dicts.layouts import Layout
from neural_epitome.state_dicts.weights_file import Form, WeightsFile

# Under this key of the description of the network in a compact file.
KEY = "weights"


def of(file: WeightsFile) -> dict[str, Any]:
  """JSON-ready data, from which `form` and `layouts` are had again.

  What is usual is left out: it would take as much as small kernels do.
  """
  grouped: dict[str, list[str]] = {}
  kernels = [name for name in file.layouts if name not in file.ties]
  for name in kernels:
    layout = json.dumps(codec.encode(file.layouts[name]))
    grouped.setdefault(layout, []).append(name)
  data = {
    "kind": file.form.kind,
    "dtypes": {k: v for k, v in file.form.dtypes.items() if v != "float32"},
    "paths": {k: v for k, v in file.form.paths.items() if tuple(v) != (k,)},
    "layouts": [[json.loads(text), names] for text, names in grouped.items()],
    "shapes": {name: list(file.arrays[name].shape) for name in kernels},
  }
  if file.ties:
    data["ties"] = dict(file.ties)
  return {KEY: codec.encode(data)}


def form(network: Mapping[str, Any], names: Iterable[str]) -> Form:
  """The form of the file; `names` are those of all its arrays."""
  data, names = _data(network), list(names)
  dtypes = dict.fromkeys(names, "float32") | dict(data["dtypes"])
  paths = {name: (name,) for name in names}
  paths |= {name: tuple(keys) for name, keys in data["paths"].items()}
  return Form(str(data["kind"]), dtypes, paths)


def layouts(network: Mapping[str, Any]) -> dict[str, tuple[Layout, tuple[int, ...]]]:
  """The layout of every kernel in the file, and its shape there."""
  data = _data(network)
  return {
    name: (codec.decode(Layout, layout, "layout"), tuple(data["shapes"][name]))
    for layout, names in data["layouts"]
    for name in names
  }


def ties(network: Mapping[str, Any]) -> dict[str, str]:
  """The names that are not stored, with the name that has their array."""
  return dict(_data(network).get("ties", {}))


def _data(network: Mapping[str, Any]) -> Mapping[str, Any]:
  if KEY not in network:
    raise UserError("It holds no weights of a foreign file.")
  return network[KEY]
