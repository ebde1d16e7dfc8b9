"""A trained network as a file that another runtime opens, one format a module.

A format is a module with `write(path, trained, bits)`, which takes a network from
`shipping`, and `read(path)`, which returns a function from images to logits that the
file's own runtime computes. It is known by the line it has in `FORMATS`.
"""

FORMATS = {
  "compact": ("neural_epitome.export.compact", ".safetensors"),
  "onnx": ("neural_epitome.export.onnx", ".onnx"),
  "stablehlo": ("neural_epitome.export.stablehlo", ".stablehlo"),
}
