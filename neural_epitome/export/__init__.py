"""A trained network as a file that another runtime opens, one format a module.

A format is a module with `write(path, trained)` and `read(path)`, which returns a
function from images to logits that the file's own runtime computes. `IS_PROGRAM` says
whether the file holds a way to run the network: `write` then takes one from `program`,
`compiled(function, shape)` is a call of the format's runtime, named by `RUNTIME`.
Else it holds the stored numbers alone: `write` takes a network from `inference_model`,
and their `bits` too. A format is known by its line in `FORMATS`: module and ending.
"""

FORMATS = {
  "c": ("neural_epitome.export.c_header", ".h"),
  "compact": ("neural_epitome.export.compact", ".safetensors"),
  "litert": ("neural_epitome.export.litert", ".tflite"),
  "onnx": ("neural_epitome.export.onnx", ".onnx"),
  "stablehlo": ("neural_epitome.export.stablehlo", ".stablehlo"),
}
