"""A trained network as a file that another runtime opens, one format a module.

A format is a module with `write(path, trained)` and `read(path)`, which returns a
function from images to logits that the file's own runtime computes, and the `ENDING` of
its files. `IS_PROGRAM` says whether the file holds a way to run the network: `write`
then takes one from `program`, `compiled(function, shape)` is a call of the format's
runtime, named by `RUNTIME`. Else it holds the stored numbers alone: `write` takes a
network from `inference_model`, and their `bits` too. `HOLDS_RECORD` says that `write`
puts what `deployment.record` says, `record=`, into the file; a JSON file beside those
of other formats says it. A format is known by its line in
`FORMATS`, or by an entry point `neural_epitome.exports` of another package.
"""

import importlib
from types import ModuleType

from neural_epitome import codec, plugins
from neural_epitome.errors import UserError

FORMATS = {
  "c": "neural_epitome.export.c_header",
  "compact": "neural_epitome.export.compact",
  "litert": "neural_epitome.export.litert",
  "onnx": "neural_epitome.export.onnx",
  "stablehlo": "neural_epitome.export.stablehlo",
}


def format_module(name: str) -> ModuleType:
  """The module of a format.

  Raises:
    UserError: if there is no such format, here or in another package, or that package
      does not import.
  """
  if name in FORMATS:
    return importlib.import_module(FORMATS[name])
  module = plugins.load("exports", name)
  if module is None:
    known = codec.nearest(name, {*FORMATS, *plugins.names("exports")})
    raise UserError(f"There is no format {name!r}.{known}")
  return module
