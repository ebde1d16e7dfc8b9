"""Aligned tables for a terminal, and the same rows for the page."""

import math
from collections.abc import Mapping
from typing import Any

from tabulate import tabulate

from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome.generators import Dense, GeneratorSpec
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.epitome.plan import Plan

Rows = list[list[str]]

PLAN_HEADERS = ["layer", "kernel", "epitome", "stored", "rate"]
RESULT_HEADERS = ["", "this network", "dense", "ratio"]


def shape_text(shape: tuple[int, ...]) -> str:
  """A shape as 1x1x96x24."""
  return "x".join(map(str, shape))


def plan_rows(plan: Plan, inventory: Inventory) -> Rows:
  """One row a generated kernel, then the dense ones and the rest in a row each.

  `stored` counts routing offsets in; `rate` is the kernel's size over it. A tensor
  that several kernels share has a row of its own, with the rate of them all; beside
  it they show what they store themselves.
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
    rows.append([layer, shape_text(use.shape), text, f"{stored:,}", rate])
  for name, uses in shared.items():
    total = _size(plan, name) + sum(
      plan.kernels[use.path].generator.stored(use.shape) - _size(plan, name)
      for use in uses
    )
    rate = sum(use.size for use in uses) / total
    told = [name, f"of {len(uses)} kernels", shape_text(plan.tensors[name].shape)]
    rows.append([*told, f"{_size(plan, name):,}", f"{rate:.2f}"])
  for text, sizes in dense.items():
    name = f"{len(sizes)} other kernel" + "s" * (len(sizes) > 1)
    rows.append([name, "", f"dense{text}", f"{sum(sizes):,}", "1.00"])
  if inventory.rest_size:
    rows.append(["all other parameters", "", "", f"{inventory.rest_size:,}", ""])
  return rows


def plan_table(plan: Plan, inventory: Inventory) -> str:
  """What is trained: layer, kernel, epitome, stored numbers, rate."""
  align = ("left", "left", "left", "right", "right")
  return tabulate(
    plan_rows(plan, inventory), PLAN_HEADERS, colalign=align, disable_numparse=True
  )


def compressed_table(
  plan: Plan, inventory: Inventory, errors: Mapping[str, float]
) -> str:
  """`plan_table` with the relative error of every kernel."""
  rows = [[*row, ""] for row in plan_rows(plan, inventory)]
  for row in rows:
    found = errors.get(row[0], errors.get(f"{row[0]}/kernel"))
    row[-1] = "" if found is None else f"{found:.3f}"
  return tabulate(
    rows,
    [*PLAN_HEADERS, "error"],
    colalign=("left", "left", "left", "right", "right", "right"),
    disable_numparse=True,
  )


def price_rows(price: Mapping[str, Any]) -> Rows:
  """What the network stores and computes beside the dense one."""
  stored, dense = price["stored_params"], price["dense_params"]
  madds, dense_madds = price["madds"], price["dense_madds"]
  size, dense_size = price["stored_bytes"], 4 * dense
  return [
    ["stored parameters", f"{stored:,}", f"{dense:,}", _ratio(stored, dense)],
    ["expanded parameters", f"{price['expanded_params']:,}", f"{dense:,}", ""],
    ["stored bytes", f"{size:,}", f"{dense_size:,}", _ratio(size, dense_size)],
    ["MAdds", f"{madds:,}", f"{dense_madds:,}", _ratio(madds, dense_madds)],
    ["adds for wrapping", f"{price['adds']:,}", "0", ""],
  ]


def price_table(price: Mapping[str, Any]) -> str:
  """`summary.prices` as a table."""
  return _compared(price_rows(price))


def result_rows(report: Mapping[str, Any]) -> Rows:
  """The report beside the dense network; top-1 in percent."""
  rows = [["top-1", _percent(report["top1"]), "", ""]]
  if report["top1_ema"] is not None:
    rows.append(["top-1, EMA weights", _percent(report["top1_ema"]), "", ""])
  seconds = ["training seconds", f"{report['seconds']:,.1f}", "", ""]
  bad = [
    [f"{split} examples left out", f"{report[name]:,}", "", ""]
    for split in ("train", "evaluation")
    if (name := f"bad_{split}_examples") in report
  ]
  return [*rows, *price_rows(report), seconds, *bad]


def result_table(report: Mapping[str, Any]) -> str:
  """How a run ended, beside the dense network of the same architecture."""
  return _compared(result_rows(report))


def export_table(exported: Mapping[str, Any]) -> str:
  """What `export.job.export` found: the files, and the ways to run the network."""
  network = exported["network"]
  files = [
    [file["file"], f"{file['bytes']:,}", f"{file['largest_difference']:.1e}"]
    for file in exported["files"]
  ]
  runtimes = list(
    dict.fromkeys(r for mode in exported["modes"].values() for r in mode["median_ms"])
  )
  modes = [
    [
      *(name, f"{mode['madds']:,}"),
      *(f"{ms[r]:.2f}" if r in (ms := mode["median_ms"]) else "" for r in runtimes),
    ]
    for name, mode in exported["modes"].items()
  ]
  right = ("left", "right", "right")
  parts = [
    tabulate(
      files,
      ["file", "bytes", "largest difference"],
      colalign=right,
      disable_numparse=True,
    ),
    f"{network['stored_params']:,} numbers stored in {network['stored_bytes']:,} bytes "
    f"for {network['expanded_params']:,} parameters",
    tabulate(
      modes,
      ["run as", "MAdds", *(f"{runtime}, ms" for runtime in runtimes)],
      colalign=("left", "right", *("right" for _ in runtimes)),
      disable_numparse=True,
    ),
  ]
  return "\n\n".join(parts)


def _compared(rows: Rows) -> str:
  align = ("left", "right", "right", "right")
  return tabulate(rows, RESULT_HEADERS, colalign=align, disable_numparse=True)


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


def _percent(share: float) -> str:
  return f"{100 * share:.2f}%"


def _ratio(value: float, reference: float) -> str:
  return f"{value / reference:.3f}"
