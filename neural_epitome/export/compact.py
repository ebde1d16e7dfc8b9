"""The compact file of a trained network: what is stored of it, in safetensors.

`compression.compact_reader` says what is in the file; numbers that kernels come from
may be rounded to integers of a few bits.
"""

import os
from collections.abc import Callable
from typing import Any

import jax

from neural_epitome import codec
from neural_epitome.compression import compact_file
from neural_epitome.epitome import flat_variables
from neural_epitome.export import inference_model
from neural_epitome.training import compact_loading
from neural_epitome.training.trained import Trained

ENDING = ".safetensors"
IS_PROGRAM = False


def write(path: str | os.PathLike, trained: Trained, bits: int | None = None) -> None:
  """Writes the compact file of a network.

  Args:
    path: of the file.
    trained: from `inference_model.shipped`.
    bits: see `inference_model.at_bits`.

  Raises:
    UserError: as `inference_model.at_bits` and `compact_file.write_numbers`.
  """
  trained = inference_model.at_bits(trained, bits)
  offsets = flat_variables.offsets(trained.plan, trained.variables)
  params = flat_variables.parameters(trained.variables)
  compact_file.write_numbers(path, trained.plan, params, offsets, description(trained))


def description(trained: Trained) -> dict[str, Any]:
  """What a runtime must know of a network beside the plan, as JSON."""
  network = {
    name: codec.encode(getattr(trained.config, name))
    for name in compact_loading.SHIPPED
  }
  # Where the data lay on the machine that trained is nobody's business.
  network["data"].pop("data_dir")
  classes = list(trained.classes)
  return network | {"classes": classes, "step": trained.step, "of": trained.weights}


def priced(trained: Trained, bits: int | None = None) -> int:
  """Bytes of the compact file that `write` writes of a network."""
  trained = inference_model.at_bits(trained, bits)
  params = flat_variables.parameters(trained.variables)
  rest = {name: a for name, a in params.items() if name not in trained.plan.tensors}
  return compact_file.file_bytes(trained.plan, rest, description(trained))


def read(path: str | os.PathLike) -> Callable[[jax.Array], jax.Array]:
  """Images to logits, by the network in the file."""
  trained = compact_loading.load(path)
  return jax.jit(
    lambda images: trained.model.apply(trained.variables, images, train=False)
  )
