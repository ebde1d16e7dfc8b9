"""The compact file of a trained network: what is stored of it, in safetensors.

`compression.compact_reader` says what is in the file; numbers that kernels come from
may be rounded to integers of a few bits.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

import jax

from neural_epitome import codec
from neural_epitome.compression import compact_file
from neural_epitome.export import deployment, inference_model
from neural_epitome.training import compact_loading
from neural_epitome.training.trained import Trained

ENDING = ".safetensors"
IS_PROGRAM = False
HOLDS_RECORD = True


def write(
  path: str | os.PathLike,
  trained: Trained,
  bits: int | None = None,
  record: Mapping[str, Any] | None = None,
) -> None:
  """Writes the compact file of a network.

  Args:
    path: of the file.
    trained: from `inference_model.shipped`.
    bits: see `inference_model.at_bits`.
    record: from `deployment`, by default that of `trained`.

  Raises:
    UserError: if the network cannot have these bits or the file cannot hold it; see
      `inference_model.at_bits` and `compact_file.write_numbers`.
  """
  network = description(trained, record)
  compact_file.write_numbers(path, *inference_model.numbers(trained, bits), network)


def description(
  trained: Trained, record: Mapping[str, Any] | None = None
) -> dict[str, Any]:
  """What a runtime must know of a network beside its plan, as JSON-ready data.

  That is the record of `deployment`, and the configuration of the model, by which
  `compact_loading` builds it again.
  """
  network = {
    name: codec.encode(getattr(trained.config, name))
    for name in compact_loading.SHIPPED
  }
  # Where the data lay on the machine that trained is nobody's business.
  network["data"].pop("data_dir")
  return network | dict(record or deployment.record(trained))


def priced(trained: Trained, bits: int | None = None) -> int:
  """Bytes of the compact file that `write` would write of a network."""
  network = description(trained)
  plan, params, _ = inference_model.numbers(trained, bits)
  rest = {name: array for name, array in params.items() if name not in plan.tensors}
  return compact_file.file_bytes(plan, rest, network)


def read(path: str | os.PathLike) -> Callable[[jax.Array], jax.Array]:
  """A function from images to logits: the network of the file, run by JAX."""
  trained = compact_loading.load(path)
  return jax.jit(
    lambda images: trained.model.apply(trained.variables, images, train=False)
  )
