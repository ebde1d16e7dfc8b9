"""What Flax serialised as msgpack, and checkpoint folders of Orbax."""

import math
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import serialization

from neural_epitome.checkpointing import orbax_noise
from neural_epitome.errors import UserError
from neural_epitome.state_dicts import leaves

# Files that Orbax has written into a folder of a checkpoint.
_MARKS = ("_METADATA", "manifest.ocdbt", "_sharding", "_CHECKPOINT_METADATA")
# Of the widest type.
_BYTES_EACH = 8


def read_msgpack(path: pathlib.Path) -> Any:
  """All that a file of `flax.serialization.to_bytes` holds, a leaf for every array.

  Raises:
    Exception: of many kinds, if the file is damaged.
  """
  return _tree(serialization.msgpack_restore(path.read_bytes()))


def _tree(value: Any) -> Any:
  if isinstance(value, Mapping):
    return {key: _tree(inner) for key, inner in value.items()}
  if isinstance(value, list | tuple):
    return {str(place): _tree(inner) for place, inner in enumerate(value)}
  if isinstance(value, np.ndarray | np.generic):
    return leaves.of_array(np.asarray(value))
  return None


def orbax_folder(folder: pathlib.Path) -> pathlib.Path:
  """The folder with the arrays of an Orbax checkpoint.

  That is this one, an item of its step, or of the newest step of several.

  Raises:
    UserError: if there is none; the sentence wants the folder's name before it.
  """
  steps = sorted(
    (inner for inner in folder.iterdir() if inner.name.isdigit() and inner.is_dir()),
    key=lambda inner: int(inner.name),
  )
  for place in (folder, *steps[-1:]):
    items = sorted(inner for inner in place.iterdir() if inner.is_dir())
    # `_CHECKPOINT_METADATA` alone lies beside the items of a step.
    for inner in (place, *items):
      if any((inner / mark).is_file() for mark in _MARKS[:-1]):
        return inner
  raise UserError("is a folder, and no Orbax checkpoint.")


def read_orbax(folder: pathlib.Path) -> Any:
  """All arrays of a checkpoint folder, a leaf for each.

  Args:
    folder: with them, from `find_orbax`.

  Raises:
    UserError: if its arrays would take far more memory than its files; the sentence
      wants the folder's name before it.
    Exception: of many kinds, if it is damaged.
  """
  orbax_noise.quieten()
  with orbax_noise.silent_coroutines():
    try:
      return _tree(_restored(folder.absolute()))
    except UserError:
      raise
    except Exception as error:
      reason = str(error)  # without what the error keeps of coroutines
  raise ValueError(reason)


def _restored(folder: pathlib.Path) -> Any:
  import orbax.checkpoint as ocp  # seconds, and most files are of another kind

  with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
    metadata: Any = checkpointer.metadata(folder)
    item = metadata.item_metadata
    described = getattr(item, "tree", item)
    shapes = [getattr(one, "shape", None) or () for one in jax.tree.leaves(described)]
    leaves.check_room(_BYTES_EACH * sum(map(math.prod, shapes)), size(folder))
    as_numpy = jax.tree.map(
      lambda _: ocp.RestoreArgs(restore_type=np.ndarray), described
    )
    arguments = ocp.args.PyTreeRestore(restore_args=as_numpy)
    return checkpointer.restore(folder, args=arguments)


def size(path: pathlib.Path) -> int:
  """Bytes of a file, or of all files in a folder."""
  files = path.rglob("*") if path.is_dir() else (path,)
  return sum(one.stat().st_size for one in files if one.is_file())
