"""The network of a compact file, checked against the architecture that it names."""

import dataclasses
import os
from typing import Any, Literal

import numpy as np

from neural_epitome import codec
from neural_epitome.compression import compact_reader
from neural_epitome.compression.loading import explained, read_plan
from neural_epitome.config import Config
from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome import flat_variables
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.plan import Plan
from neural_epitome.errors import UserError
from neural_epitome.training import setup
from neural_epitome.training.trained import Trained
from neural_epitome.weight_files import description

# What of a configuration is needed beside the plan.
SHIPPED = ("name", "model", "norm", "data")


def load(path: str | os.PathLike, largest: int | None = None) -> Trained:
  """Loads the network of a compact file, as `loading.load` does that of a run.

  Args:
    path: of the file.
    largest: numbers that its kernels may have in full, all together; by default 2**28,
      and no more than 1024 for each byte of the file.

  Raises:
    UserError: if the file is absent, damaged, or not of a network that this release
      can build.
  """
  with explained(path):
    file = compact_reader.read(path, largest)
    network = codec.decode(dict[str, Any], file.metadata["network"], "network")
    if description.KEY in network:
      raise UserError(
        f"{path} holds weights of a network that is not known here: --mode=export "
        "--format=weights writes them in full."
      )
    if not network:
      raise UserError(
        f"{path} holds parameters and no network: ne.load_compressed reads it."
      )
    plan = read_plan(file, path)
    classes = tuple(codec.decode(tuple[str, ...], network["classes"], "classes"))
    step = codec.decode(int, network["step"], "step")
    weights = codec.decode(Literal["raw", "ema"], network["of"], "of")
    kept = {name: network[name] for name in SHIPPED}
    config = codec.decode(Config, kept, f"{path}: network")
    # Offsets ship as whole cells, and nothing that they were learned by.
    fixed = dataclasses.replace(config.indices, source="fixed")
    config = dataclasses.replace(config, indices=fixed)
    # Shapes first: only kernels that the architecture has are expanded.
    variables = _variables(file, config, plan, len(classes))
    for name in plan.kernels:
      file.kernel(name)  # refuses what does not fit
  return Trained(
    model=setup.build(config, len(classes), plan),
    variables=variables,
    plan=plan,
    config=config,
    classes=classes,
    step=step,
    weights=weights,
  )


def _variables(
  file: compact_reader.Network, config: Config, plan: Plan, classes: int
) -> dict[str, Any]:
  """The model's variables, checked against what the model asks for."""
  inventory = setup.take_inventory(config, classes)
  if plans.fingerprint(inventory.kernels) != plan.architecture:
    raise UserError("The file's plan is for another architecture than its model.")
  for use in inventory.kernels:
    # The fingerprint is the file's word.
    if use.path not in plan.kernels or plan.kernels[use.path].shape != use.shape:
      raise UserError(
        f"The file has no kernel {use.path!r} of shape {list(use.shape)}."
      )
  if len(plan.kernels) > len(inventory.kernels):
    extra = sorted(plan.kernels.keys() - {use.path for use in inventory.kernels})
    raise UserError(f"The file has a kernel {extra[0]!r} that its model does not have.")
  expected = dict(inventory.rest)
  for path, kernel in plan.kernels.items():
    for axis, shape in kernel.generator.offsets(kernel.shape).items():
      generator, name = kernel.generator, plans.beside(path, f"offsets.{axis}")
      is_packed = generator.offset_bits(axis) < 32
      packed = (generator.offset_bytes(axis, kernel.shape),)
      expected[name] = packed if is_packed else shape
  for name, shape in expected.items():
    if name not in file.tensors or file.tensors[name].shape != tuple(shape):
      raise UserError(f"The file has no {name!r} of shape {list(shape)}.")
  params = {name: file.tensor(name) for name in plan.tensors}
  params |= {name: file.tensors[name].astype(np.float32) for name in inventory.rest}
  routing = flat_variables.with_offsets(
    {path: maps for path in plan.kernels if (maps := file.offsets(path))}
  )
  return with_statistics(params, inventory, config) | {"routing": routing}


def with_statistics(
  params: dict[str, np.ndarray], inventory: Inventory, config: Config
) -> dict[str, Any]:
  """Variables of a shipped network from its parameters by path.

  Its batch norms get a mean of 0 and a variance of 1 (with epsilon), as their
  statistics are already part of their scales and biases.
  """
  statistics: dict[str, np.ndarray] = {}
  for layer in inventory.batch_norms:
    shape = inventory.rest[f"{layer}/scale"]
    statistics[f"{layer}/mean"] = np.zeros(shape, np.float32)
    statistics[f"{layer}/var"] = np.full(shape, 1.0 - config.norm.epsilon, np.float32)
  return {
    "params": flat_variables.nested(params),
    "batch_stats": flat_variables.nested(statistics),
  }
