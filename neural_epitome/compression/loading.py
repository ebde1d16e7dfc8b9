"""`load_compressed`: what `Compressed.save` wrote, to be used and trained again."""

import contextlib
import dataclasses
import json
import os
import textwrap
from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

from neural_epitome.compression import compact_file, compact_reader, trees
from neural_epitome.compression.compressed import Compressed
from neural_epitome.cost import totals
from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome import flat_variables
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.epitome.plan import Plan
from neural_epitome.errors import UserError


def load_compressed(
  path: str | os.PathLike, *, largest: int | None = None
) -> Compressed:
  """Reads the parameters of a compact file; needs no more than the core.

  Args:
    path: of the file, from `Compressed.save` or any other.
    largest: numbers that its kernels may have in full, all together; by default 2**28,
      and no more than 1024 for each byte of the file.

  Returns:
    What is stored. `expand` gives dictionaries nested by the names that the leaves had,
    floating numbers in float32; `errors` is empty, since a file does not hold what it
    was made from.

  Raises:
    UserError: if the file is absent or damaged, or its generators are not known here.
  """
  with explained(path):
    found = compact_reader.read(path, largest)
    plan = read_plan(found, path)
    for name in plan.kernels:
      found.kernel(name)  # refuses what does not fit
    numbers = {name: found.tensor(name) for name in plan.tensors}
    offsets: dict[str, dict[str, np.ndarray]] = {}
    read = {*plan.tensors, *(f"{name}.scale" for name in plan.tensors)}
    for kernel_path, kernel in plan.kernels.items():
      for axis in kernel.generator.offsets(kernel.shape):
        name = plans.beside(kernel_path, f"offsets.{axis}")
        offsets.setdefault(kernel_path, {})[axis] = found.tensors[name]
        read.add(name)
    rest = {name: array for name, array in found.tensors.items() if name not in read}
    shapes = found.metadata.get("shapes", {})
    kernels = {
      kernel_path: np.broadcast_to(
        np.float32(0.0), shapes.get(kernel_path, kernel.shape)
      )
      for kernel_path, kernel in plan.kernels.items()
    }
    leaves = trees.take_apart(flat_variables.nested(kernels | rest))
  inventory = Inventory(
    tuple(KernelUse(name, kernel.shape) for name, kernel in plan.kernels.items()),
    {name: array.shape for name, array in rest.items()},
  )
  size = compact_file.file_bytes(plan, rest, shapes=leaves.reshaped(plan))
  price = totals.price(plan, inventory)
  return Compressed(
    compact={name: jnp.asarray(array) for name, array in (numbers | rest).items()},
    plan=plan,
    offsets=offsets,
    errors={},
    totals=dataclasses.replace(price, stored_bytes=size),
    _leaves=leaves,
    _inventory=inventory,
  )


def read_plan(found: compact_reader.Network, path: str | os.PathLike) -> Plan:
  """The plan of a file, checked."""
  return plans.from_json(json.dumps(found.metadata["plan"]), f"{path}: plan")


@contextlib.contextmanager
def explained(path: str | os.PathLike) -> Iterator[None]:
  """Whatever a damaged or hostile file raises inside becomes a `UserError`."""
  try:
    yield
  except FileNotFoundError:
    raise UserError(f"{path} does not exist.") from None
  except UserError:
    raise
  except (AttributeError, LookupError, OSError, TypeError, ValueError) as error:
    # Names come from the file, and may be of any length and hold line breaks.
    reason = textwrap.shorten(str(error), 500)
    raise UserError(f"{path} is no compact file: {reason}") from None
