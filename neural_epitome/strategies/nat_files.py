"""Policies of `nat`, saved and loaded."""

import json
import zipfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from neural_epitome import codec, whole_files
from neural_epitome.errors import FileError, UserError
from neural_epitome.strategies.policies.policy_gradient import State

_HEADER = "about"


def save(path: str | Path, state: State, about: Any) -> None:
  """Writes a state, whole or not at all.

  Args:
    path: of an .npz file, in a directory that exists.
    state: what is saved; step and moments too, so that learning goes on exactly.
    about: a dataclass, or plain JSON: all that the state depends on.
  """
  leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(state)]
  arrays: dict[str, Any] = {f"leaf_{n}": leaf for n, leaf in enumerate(leaves)}
  arrays[_HEADER] = np.array(json.dumps(codec.encode(about)))
  with (
    whole_files.replacing(path) as partial,
    partial.open("wb") as file,
  ):
    np.savez(file, **arrays)


def load(path: str | Path, like: State, about: Any) -> State:
  """Reads what `save` wrote.

  Args:
    path: of the file.
    like: a state of the same shapes, as `nat.start` returns.
    about: what `save` was given.

  Raises:
    UserError: if it is no such file, or of another policy or space.
  """
  try:
    with np.load(path, allow_pickle=False) as file:
      arrays = {name: file[name] for name in file.files}
  except OSError as error:
    raise FileError(f"{path} cannot be read: {error.strerror or error}.") from None
  except (ValueError, EOFError, zipfile.BadZipFile) as error:
    raise FileError(f"{path} holds no policy: {error}.") from None
  leaves, tree = jax.tree.flatten(like)
  names = [f"leaf_{number}" for number in range(len(leaves))]
  if set(arrays) != {*names, _HEADER}:
    raise FileError(f"{path} holds no policy of nat.")
  saved, wanted = json.loads(str(arrays[_HEADER])), codec.encode(about)
  if saved != json.loads(json.dumps(wanted)):
    raise UserError(
      f"{path} is a policy that was learned otherwise ({_difference(saved, wanted)}); "
      "name another file, or take the same options."
    )
  return jax.tree.unflatten(tree, [jnp.asarray(arrays[name]) for name in names])


def _difference(saved: Any, wanted: Any, where: str = "") -> str:
  """The first option that differs."""
  if isinstance(saved, dict) and isinstance(wanted, dict):
    for name in [*saved, *(name for name in wanted if name not in saved)]:
      if saved.get(name) != wanted.get(name):
        return _difference(saved.get(name), wanted.get(name), f"{where}.{name}")
  return f"{where.lstrip('.') or 'it'}: {saved!r}, not {wanted!r}"
