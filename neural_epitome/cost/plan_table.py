"""A plan as a table: one line for every kernel that is generated."""

import math
from collections.abc import Collection, Mapping, Sequence

from neural_epitome.cost import kernel_storage
from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome.generators import Dense, GeneratorSpec, WindowedEpitome
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.epitome.plan import Plan

Rows = list[list[str]]

PLAN_HEADERS = ["layer", "kernel", "epitome", "stored", "rate"]


def shape_text(shape: tuple[int, ...]) -> str:
  """A shape as 1x1x96x24."""
  return "x".join(map(str, shape))


def plan_rows(plan: Plan, inventory: Inventory) -> Rows:
  """One row a generated kernel, then the dense ones and the rest in a row each.

  `stored` counts routing offsets in; `rate` is the kernel's size over it, or, of
  windows, whose places are stored in few bits each, its float32 bytes over those that
  are stored. A tensor that several kernels share has a row of its own, with the rate of
  them all; beside it they show what they store themselves.
  """
  readers: dict[str, list[KernelUse]] = {}
  for use in inventory.kernels:
    for name in plan.kernels[use.path].tensors.values():
      readers.setdefault(name, []).append(use)
  shared = {name: uses for name, uses in readers.items() if len(uses) > 1}
  rows = []
  dense: dict[str, list[int]] = {}
  for use in inventory.kernels:
    generator = plan.kernels[use.path].generator
    if isinstance(generator, Dense):
      dense.setdefault(_bits_text(plan, use.path), []).append(use.size)
      continue
    stored = generator.stored(use.shape)
    names = set(plan.kernels[use.path].tensors.values()) & shared.keys()
    stored -= sum(_size(plan, name) for name in names)
    layer = use.path.removesuffix("/kernel")
    text = _generator_text(generator) + _bits_text(plan, use.path)
    rate = "" if names else f"{use.size / stored:.2f}"
    if isinstance(generator, WindowedEpitome) and not names:
      kernel = plan.kernels[use.path]
      text = kernel_storage.stored_text(kernel, plan)
      rate = f"{4 * use.size / kernel_storage.kernel_bytes(kernel, plan):.2f}"
    rows.append([layer, shape_text(use.shape), text, f"{stored:,}", rate])
  for name, uses in shared.items():
    total = _size(plan, name) + sum(
      plan.kernels[use.path].generator.stored(use.shape) - _size(plan, name)
      for use in uses
    )
    rate = sum(use.size for use in uses) / total
    row = [name, f"of {len(uses)} kernels", shape_text(plan.tensors[name].shape)]
    rows.append([*row, f"{_size(plan, name):,}", f"{rate:.2f}"])
  for text, sizes in dense.items():
    name = f"{len(sizes)} other kernel" + "s" * (len(sizes) > 1)
    rows.append([name, "", f"dense{text}", f"{sum(sizes):,}", "1.00"])
  if inventory.rest_size:
    rows.append(["all other parameters", "", "", f"{inventory.rest_size:,}", ""])
  return rows


def plan_table(
  plan: Plan, inventory: Inventory, errors: Mapping[str, float] | None = None
) -> str:
  """What is stored: layer, kernel, epitome, stored numbers, rate.

  Args:
    plan: of the network.
    inventory: its kernels.
    errors: relative error by kernel path, for a column of its own.
  """
  rows = plan_rows(plan, inventory)
  headers = PLAN_HEADERS
  if errors is not None:
    headers = [*headers, "error"]
    for row in rows:
      error = errors.get(row[0], errors.get(f"{row[0]}/kernel"))
      row.append("" if error is None else f"{error:.3f}")
  return aligned(rows, headers, right={"stored", "rate", "error"})


def aligned(
  rows: Sequence[Sequence[str]], headers: Sequence[str], right: Collection[str]
) -> str:
  """Rows of text below their headers, as tabulate's `simple` format sets them.

  Args:
    rows: of the table.
    headers: of its columns.
    right: headers of columns that end together; the others begin together.
  """
  columns = list(zip(headers, *rows, strict=True))
  widths = [max(len(header) + 2, *map(len, cells)) for header, *cells in columns]
  marks = [">" if header in right else "<" for header in headers]
  lines = [headers, ["-" * width for width in widths], *rows]
  return "\n".join(
    "  ".join(
      f"{cell:{mark}{width}}"
      for cell, mark, width in zip(line, marks, widths, strict=True)
    ).rstrip()
    for line in lines
  )


def _size(plan: Plan, name: str) -> int:
  return math.prod(plan.tensors[name].shape)


def _generator_text(generator: GeneratorSpec) -> str:
  shape = getattr(generator, "shape", None)
  routing = getattr(generator, "routing", None)
  words = [shape_text(shape) if shape else generator.kind, routing or ""]
  return " ".join(filter(None, words))


def _bits_text(plan: Plan, path: str) -> str:
  bits = min(plan.tensors[name].bits for name in plan.kernels[path].tensors.values())
  return "" if bits == 32 else f", {bits} bits"
