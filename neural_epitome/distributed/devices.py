"""The mesh of all devices, batches on it, and the compilation cache."""

import collections
import itertools
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental.compilation_cache import compilation_cache
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from neural_epitome.errors import UserError

AXIS = "data"
Batch = dict[str, Any]


def make_mesh(devices: Sequence[Any] | None = None) -> Mesh:
  """One axis, `data`, over all devices of all processes (or over `devices`)."""
  count = len(devices) if devices is not None else jax.device_count()
  return jax.make_mesh((count,), (AXIS,), axis_types=(AxisType.Auto,), devices=devices)


def check_batch(size: int, mesh: Mesh, field: str, *, pairs: bool = False) -> None:
  """Raises UserError unless `size` images divide evenly over the mesh.

  Args:
    size: images of one global batch.
    mesh: the devices.
    field: name of the option the size comes from.
    pairs: whether each device needs an even number of them (mixup).
  """
  unit = mesh.size * (2 if pairs else 1)
  if size < 1 or size % unit:
    lower, upper = size // unit * unit, (size // unit + 1) * unit
    nearest = f"{lower} or {upper}" if lower > 0 else f"{upper}"
    why = f"{mesh.size} devices" + (" and mixup's pairs" if pairs else "")
    raise UserError(f"{field}={size} does not divide over {why}; use {nearest}.")


def put(batch: Batch, mesh: Mesh) -> Batch:
  """This process's rows of a batch, as global arrays cut along the mesh."""
  sharding = NamedSharding(mesh, PartitionSpec(AXIS))
  return {
    name: jax.make_array_from_process_local_data(sharding, np.asarray(value))
    for name, value in batch.items()
  }


def over_devices(
  function: Callable[[Any, Batch], Any], mesh: Mesh, **options: Any
) -> Callable[[Any, Batch], Any]:
  """Compiles `function(tree, batch)` to run on each device of the mesh.

  This is `jax.shard_map` under `jax.jit`, which `jax.pmap` is too since JAX 0.10.

  Args:
    function: sees the whole tree and its device's rows of the batch, and returns
      what is the same on all devices.
    mesh: one axis, `data`.
    options: of `jax.jit`.
  """
  replicated, cut = PartitionSpec(), PartitionSpec(AXIS)
  sharded = jax.shard_map(
    function, mesh=mesh, in_specs=(replicated, cut), out_specs=replicated
  )
  return jax.jit(sharded, **options)


def prefetch(batches: Iterable[Batch], mesh: Mesh, ahead: int = 2) -> Iterator[Batch]:
  """Yields batches on the mesh, `ahead` of them already on their way."""
  source = iter(batches)
  queue = collections.deque(put(b, mesh) for b in itertools.islice(source, ahead))
  while queue:
    yield queue.popleft()
    queue.extend(put(b, mesh) for b in itertools.islice(source, 1))


def use_compilation_cache() -> None:
  """Keeps compiled programs across runs, in the user's cache directory.

  `JAX_COMPILATION_CACHE_DIR`, or a directory set through `jax.config`, wins. A
  program out of the cache is the one that was compiled, so numbers do not change.
  """
  # JAX adds its options as attributes when it is imported.
  if jax.config.jax_compilation_cache_dir:  # pyright: ignore[reportAttributeAccessIssue]
    return
  base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
  directory = pathlib.Path(base) / "neural_epitome" / "xla"
  try:
    directory.mkdir(parents=True, exist_ok=True)
  except OSError:
    return  # a read-only home costs compilation time, nothing else
  jax.config.update("jax_compilation_cache_dir", str(directory))
  # Whether there is a cache is decided at the first compilation of a process, which
  # in a notebook lies behind us.
  compilation_cache.reset_cache()
