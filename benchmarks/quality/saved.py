"""Trees of arrays in a file that is whole or not there."""

import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Tree = Any


def save(path: Path, tree: Tree, **told: Any) -> None:
  """Writes the tree's leaves, and what is told beside it: numbers and text."""
  path.parent.mkdir(parents=True, exist_ok=True)
  leaves = {
    f"leaf{jax.tree_util.keystr(at)}": np.asarray(leaf)
    for at, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }
  partial = path.with_name(f".{path.name}.partial")
  with partial.open("wb") as file:
    np.savez(file, **leaves, **told)
    file.flush()
    os.fsync(file.fileno())
  os.replace(partial, path)


def told(path: Path) -> dict[str, Any]:
  """What was told beside the tree; nothing where there is no file."""
  if not path.is_file():
    return {}
  with np.load(path) as file:
    return {name: file[name].item() for name in file if not name.startswith("leaf")}


def load(path: Path, like: Tree) -> Tree:
  """The tree in a file, of the structure and dtypes of `like`."""

  def leaf(at: Any, one: Any) -> jax.Array:
    return jnp.asarray(file[f"leaf{jax.tree_util.keystr(at)}"], one.dtype)

  with np.load(path) as file:
    return jax.tree_util.tree_map_with_path(leaf, like)
