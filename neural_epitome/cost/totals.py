"""The price of a plan: stored and expanded parameters, bytes, multiply-adds, adds."""

import dataclasses
import math
from collections.abc import Mapping

from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome.execution import Execution
from neural_epitome.epitome.generators import Cost
from neural_epitome.epitome.plan import Plan


@dataclasses.dataclass(frozen=True)
class Totals:
  """A network's price, operations per example.

  Attributes:
    stored_params: numbers in the deployed network: stored tensors, routing maps,
      biases and batch-norm scale and bias.
    expanded_params: parameters of the architecture, kernels in full.
    stored_bytes: bytes of what is stored at the width of its type.
    madds: multiply-adds of convolutions and dense layers, as executed, and of products
      of activations, such as attention's.
    adds: additions that folding costs beside them.
  """

  stored_params: int
  expanded_params: int
  stored_bytes: int
  madds: int
  adds: int


def kernel_costs(
  plan: Plan,
  inventory: Inventory,
  execution: Execution | Mapping[str, Execution] = "materialise",
) -> dict[str, Cost]:
  """The price of each kernel in its place, by path; a shared tensor counts at each."""
  costs = {}
  for use in inventory.kernels:
    how = execution
    if isinstance(how, Mapping):
      how = how.get(use.path, "materialise")
    generator = plan.kernels[use.path].generator
    costs[use.path] = generator.cost(use, folded=how == "fold")
  return costs


def price(
  plan: Plan,
  inventory: Inventory,
  execution: Execution | Mapping[str, Execution] = "materialise",
) -> Totals:
  """Prices a plan.

  Args:
    plan: for every kernel of the inventory.
    inventory: of the architecture.
    execution: as the layers are run; it decides the operations, never the storage.

  Returns:
    The totals. Tensors count at the bits that the plan gives them, those below 32 with
    their factors beside them, and routing maps at the bytes of their generator;
    everything else (factors, biases, batch norm) counts 32. Tensors that kernels share
    count once.
  """
  total = sum(kernel_costs(plan, inventory, execution).values(), Cost())
  tensors = sum(math.prod(spec.shape) for spec in plan.tensors.values())
  tensor_bits = sum(math.prod(spec.shape) * spec.bits for spec in plan.tensors.values())
  offsets, offset_bytes = _offsets(plan)
  plain = inventory.rest_size
  plain += sum(math.prod(spec.factors) for spec in plan.tensors.values())
  return Totals(
    stored_params=tensors + offsets + plain,
    expanded_params=inventory.size,
    stored_bytes=-(-tensor_bits // 8) + offset_bytes + 4 * plain,
    madds=total.madds + sum(inventory.products.values()),
    adds=total.adds,
  )


def _offsets(plan: Plan) -> tuple[int, int]:
  """How many offsets a plan stores, and their bytes."""
  pairs = [
    (math.prod(size), kernel.generator.offset_bytes(axis, kernel.shape))
    for kernel in plan.kernels.values()
    for axis, size in kernel.generator.offsets(kernel.shape).items()
  ]
  return sum(count for count, _ in pairs), sum(size for _, size in pairs)
