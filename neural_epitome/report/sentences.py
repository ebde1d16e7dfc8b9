"""What a table of numbers does not say by itself, in one sentence each."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from neural_epitome.config import Config
from neural_epitome.cost import totals
from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.generators import Dense
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.epitome.plan import Plan
from neural_epitome.planning import BudgetPlanner, ChosenPlanner

# Kernels that are generated from less than this share of all stored bytes get little.
LITTLE = 0.25
# Bits that are offered where they do.
OFFERED_BITS = 8

_OFFSETS = {
  "learner": "read at offsets that a small network learns",
  "free": "read at offsets that are learned",
  "drawn": "read at offsets that are drawn anew each step",
  "fixed": "read at fixed offsets",
}


def about_plan(config: Config, plan: Plan, inventory: Inventory) -> str:
  """Says what the table of a plan is about: which network, what is stored, and how.

  Args:
    config: the experiment.
    plan: of its network.
    inventory: of its architecture.
  """
  price = totals.price(plan, inventory)
  network = f"{config.model.kind} for {config.data.dataset}"
  count = len(inventory.kernels)
  generated = _generated(plan, inventory)
  if not generated:
    return (
      f"{network}: all of its {count} kernels are stored as they are, "
      f"{price.stored_params:,} parameters in all."
    )
  kinds = sorted({plan.kernels[use.path].generator.kind for use in generated})
  tensors = (
    "their epitomes"
    if all("epitome" in kind or kind == "elastic" for kind in kinds)
    else ", ".join(kinds)
  )
  has_offsets = any(plan.kernels[u.path].generator.offsets(u.shape) for u in generated)
  how = f", {_OFFSETS[config.indices.source]}" if has_offsets else ""
  stored = f"{price.stored_params:,} numbers are stored"
  if _is_spent(config):  # places, in bits, say more than numbers
    stored = f"{price.stored_bytes:,} bytes are stored"
  return (
    f"{network}: {len(generated)} of its {count} kernels are not stored but generated "
    f"from smaller tensors ({tensors}){how}, so that {stored} for "
    f"{price.expanded_params:,} parameters."
  )


def about_rest(config: Config, plan: Plan, inventory: Inventory) -> str | None:
  """Says that what is not compressed takes most of what is stored, where it does.

  Args:
    config: the experiment; its bits are those of stored kernels.
    plan: of its network.
    inventory: of its architecture.

  Returns:
    One line that names the remedy, or None where the generated kernels hold at least
    `LITTLE` of the stored bytes, or were a minor part of the network anyway. Of a
    configuration with a budget, what that leaves open; None once it was spent.
  """
  if _is_spent(config):
    return None
  if config.training.budget:
    return (
      "This is the planner's network, and a budget has a plan of its own: how the "
      f"dense one is stored in config.training.budget={config.training.budget} follows "
      "from its weights, once they are trained."
    )
  generated = _generated(plan, inventory)
  weights = sum(use.size for use in generated)
  if weights < 0.5 * inventory.size:
    return None
  stored = totals.price(plan, inventory).stored_bytes
  rest = _rest_bytes(inventory, generated, config.bits)
  left = stored - rest
  if left >= LITTLE * stored:
    return None
  dense = len(inventory.kernels) - len(generated)
  sizes = (
    f"Of {stored:,} stored bytes {rest:,} are not compressed (batch norm, biases and "
    f"kernels that stay dense: {dense}), which leaves {left:,} for the {weights:,} "
    f"weights that are (kernels: {len(generated)})"
  )
  if config.bits <= OFFERED_BITS:
    return f"{sizes}: a higher rate saves little, a higher budget gains much."
  more = stored - _rest_bytes(inventory, generated, OFFERED_BITS)
  times = more * 8 / OFFERED_BITS / (left * 8 / config.bits)
  flags = f"--config.bits={OFFERED_BITS}"
  if isinstance(config.planner, BudgetPlanner):
    flags += f" --config.planner.bits={OFFERED_BITS}"
  return (
    f"{sizes}. {flags} stores all kernels as integers of {OFFERED_BITS} bits: the same "
    f"bytes then hold {times:.0f} times as many numbers for them."
  )


def _is_spent(config: Config) -> bool:
  """Whether a budget has said what is stored."""
  return bool(config.training.budget) and isinstance(config.planner, ChosenPlanner)


def _generated(plan: Plan, inventory: Inventory) -> list[KernelUse]:
  return [
    use
    for use in inventory.kernels
    if not isinstance(plan.kernels[use.path].generator, Dense)
  ]


def about_training(lines: Sequence[Mapping[str, Any]]) -> str:
  """Says how fast training went.

  Args:
    lines: of metrics.jsonl.
  """

  def median(name: str) -> float | None:
    values = [line[name] for line in lines if line.get(name) is not None]
    return statistics.median(values) if values else None

  rate, alone = median("images_per_second"), median("images_per_second_per_device")
  if rate is None:
    return "Too few steps to say how fast they were."
  parts = [f"{rate:,.0f} images a second, {alone:,.0f} on each device"]
  parts.append(f"{median('input_wait'):.1%} of the time waiting for input")
  if (share := median("flops_utilisation")) is not None:
    parts.append(f"{share:.1%} of the devices' peak used")
  return f"Median of the intervals that were logged: {', '.join(parts)}."


def _rest_bytes(inventory: Inventory, generated: list[KernelUse], bits: int) -> int:
  """Bytes of everything but the generated kernels, dense kernels at `bits`."""
  kept = tuple(use for use in inventory.kernels if use not in generated)
  others = Inventory(kept, inventory.rest)
  return totals.price(plans.make(kept, {}).narrowed(bits), others).stored_bytes
