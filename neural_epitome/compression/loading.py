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
from neural_epitome.epitome import flat_variables, plan_json
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
    file = compact_reader.read(path, largest)
    plan = read_plan(file, path)
    for name in plan.kernels:
      file.kernel(name)  # refuses what does not fit
    numbers = {name: file.tensor(name) for name in plan.tensors}
    offsets: dict[str, dict[str, np.ndarray]] = {}
    read = {*plan.tensors, *(f"{name}.scale" for name in plan.tensors)}
    for kernel_path in plan.kernels:
      if maps := file.offsets(kernel_path):
        offsets[kernel_path] = maps
        read |= {plans.beside(kernel_path, f"offsets.{axis}") for axis in maps}
    rest = {name: array for name, array in file.tensors.items() if name not in read}
    halves = frozenset(name for name, array in rest.items() if array.dtype == "f2")
    shapes = file.metadata.get("shapes", {})
    network = dict(file.metadata.get("network", {}))
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
  size = compact_file.file_bytes(plan, rest, network, leaves.reshaped(plan))
  rest |= {name: rest[name].astype(np.float32) for name in halves}
  price = totals.price(plan, inventory)
  return Compressed(
    compact={name: jnp.asarray(array) for name, array in (numbers | rest).items()},
    plan=plan,
    offsets=offsets,
    errors={},
    totals=dataclasses.replace(price, stored_bytes=size),
    _leaves=leaves,
    _inventory=inventory,
    _halves=halves,
    _network=network,
  )


def read_plan(file: compact_reader.Network, path: str | os.PathLike) -> Plan:
  """The plan of a file, checked."""
  return plan_json.from_json(json.dumps(file.metadata["plan"]), f"{path}: plan")


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
