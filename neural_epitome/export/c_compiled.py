"""Compiles an exported C header with the system's compiler and calls it from here."""

import ctypes
import json
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from neural_epitome import codec
from neural_epitome.config import Config
from neural_epitome.epitome import plan as plans
from neural_epitome.errors import UserError
from neural_epitome.training import compact_loading, setup

_COMPILERS = ("cc", "gcc", "clang")


def read(path: str | os.PathLike) -> Callable[[jax.Array], jax.Array]:
  """A function from images to logits, whose kernels the compiled header expands.

  All layers are computed by JAX. The header is compiled when this is called.

  Raises:
    UserError: if there is no C compiler.
  """
  header, params = about(path), expand(path)
  kept = {name: header["network"][name] for name in compact_loading.SHIPPED}
  config = codec.decode(Config, kept, "network")
  classes = len(header["network"]["classes"])
  inventory = setup.take_inventory(config, classes)
  model = setup.build(config, classes, plans.make(inventory.kernels, {}))
  variables = compact_loading.with_statistics(params, inventory, config)
  return jax.jit(lambda images: model.apply(variables, images, train=False))


def about(path: str | os.PathLike) -> dict[str, Any]:
  """What the first comment of a header says, see `c_header`."""
  text = Path(path).read_text()
  return json.loads(text[3 : text.index(" */\n")])


def expand(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """Every kernel in full, and all other parameters, from a compiled header.

  Args:
    path: of the header.

  Returns:
    Arrays by path, float32 or of integers int32.

  Raises:
    UserError: if there is no C compiler, or it fails.
  """
  header = about(path)
  kernels, rest = header["kernels"], header["rest"]
  compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
  if compiler is None:
    raise UserError("--format=c is checked by a C compiler: install cc, gcc or clang.")
  getters = [
    f"const void *get_{one['array']}(void) {{ return {one['array']}; }}"
    for one in rest.values()
  ]
  unit = [
    f'#include "{Path(path).resolve()}"',
    "void expand(int k, float *out) { ne_expand(&ne_kernels[k], out); }",
    *getters,
  ]
  with tempfile.TemporaryDirectory() as directory:
    source, library = Path(directory) / "unit.c", Path(directory) / "unit.so"
    source.write_text("\n".join(unit) + "\n")
    flags = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O2"]
    done = subprocess.run(
      [compiler, *flags, "-shared", "-fPIC", source, "-o", library],
      check=False,
      capture_output=True,
      text=True,
    )
    if done.returncode:
      # As of a disk that is full.
      reason = next((s for s in done.stderr.splitlines() if "error" in s), "it failed")
      raise UserError(f"{compiler}: {reason}.")
    loaded = ctypes.CDLL(str(library))
    arrays = {}
    for index, (name, shape) in enumerate(kernels.items()):
      arrays[name] = np.zeros(shape, np.float32)
      loaded.expand(index, arrays[name].ctypes.data_as(ctypes.c_void_p))
    for name, one in rest.items():
      get = getattr(loaded, f"get_{one['array']}")
      get.restype = ctypes.c_void_p
      dtype, count = np.dtype(one["dtype"]), math.prod(one["shape"])
      row = ctypes.string_at(get(), count * dtype.itemsize)
      arrays[name] = np.frombuffer(row, dtype).reshape(one["shape"]).copy()
  return arrays
