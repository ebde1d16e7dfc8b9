"""What a C header says, compiled by the system's compiler and called from here."""

import ctypes
import json
import math
import os
import re
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
  """Images to logits: kernels expanded by the header, compiled here, the rest by JAX.

  Raises:
    UserError: if there is no C compiler.
  """
  text = Path(path).read_text()
  header = json.loads(text[3 : text.index(" */\n")])
  params = expand(path, header["kernels"], header["rest"])
  kept = {name: header["network"][name] for name in compact_loading.SHIPPED}
  config = codec.decode(Config, kept, "network")
  classes = len(header["network"]["classes"])
  inventory = setup.take_inventory(config, classes)
  model = setup.build(config, classes, plans.make(inventory.kernels, {}))
  variables = compact_loading.with_statistics(params, inventory, config)
  return jax.jit(lambda images: model.apply(variables, images, train=False))


def expand(
  path: str | os.PathLike, kernels: dict[str, Any], rest: dict[str, Any]
) -> dict[str, np.ndarray]:
  """Every kernel, and all other parameters, as a compiled header gives them.

  Args:
    path: of the header.
    kernels: shapes of the kernels, in the header's order.
    rest: shapes of the others.
  """
  compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
  if compiler is None:
    raise UserError("--format=c is checked by a C compiler: install cc, gcc or clang.")
  getters = [
    f"const float *get_{identifier(name)}(void) {{ return {identifier(name)}; }}"
    for name in rest
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
    subprocess.run(
      [compiler, *flags, "-shared", "-fPIC", source, "-o", library],
      check=True,
      capture_output=True,
    )
    loaded = ctypes.CDLL(str(library))
    arrays = {}
    for index, (name, shape) in enumerate(kernels.items()):
      arrays[name] = np.zeros(shape, np.float32)
      loaded.expand(index, arrays[name].ctypes.data_as(ctypes.c_void_p))
    for name, shape in rest.items():
      get = getattr(loaded, f"get_{identifier(name)}")
      get.restype = ctypes.POINTER(ctypes.c_float)
      row = np.ctypeslib.as_array(get(), (math.prod(shape),))
      arrays[name] = row.reshape(shape).copy()
  return arrays


def identifier(path: str) -> str:
  """The name in C of a parameter, tensor or kernel."""
  return "ne_" + re.sub(r"\W", "_", path.replace("/", "__"))
