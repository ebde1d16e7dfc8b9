"""How one kernel is stored: in words and in bytes."""

import math

from neural_epitome.epitome.generators import GeneratorSpec, LowRank, WindowedEpitome
from neural_epitome.epitome.plan import KernelPlan, Plan


def stored_text(kernel: KernelPlan, plan: Plan) -> str:
  """How a kernel is stored, in a few words."""
  generator: GeneratorSpec = kernel.generator
  if not isinstance(generator, WindowedEpitome):
    bits = min(plan.tensors[name].bits for name in kernel.tensors.values())
    kind = "float" if bits > 8 else "int"
    text = "" if generator.kind == "dense" else f"{generator.kind}, "
    if isinstance(generator, LowRank):
      inputs = f" without {len(generator.without)} inputs" if generator.without else ""
      text = f"rank {generator.rank}{inputs}, "
    return f"{text}{kind}{bits}"
  extents = generator.extents(kernel.shape)
  if math.prod(extents) == 1:
    return f"palette of {generator.length}"
  axes = [
    ("taps", math.prod(extents[:-2])),
    ("inputs", extents[-2]),
    ("outputs", extents[-1]),
  ]
  window = " x ".join(f"{size} {name}" for name, size in axes if size > 1)
  return f"windows of {window}, ring of {generator.length:,}"


def kernel_bytes(kernel: KernelPlan, plan: Plan) -> int:
  """Bytes of a kernel's tensors, with their factors, and of its routing maps."""
  specs = [plan.tensors[name] for name in kernel.tensors.values()]
  tensors = sum(-(-math.prod(spec.shape) * spec.bits // 8) for spec in specs)
  factors = sum(4 * math.prod(spec.factors) for spec in specs)
  generator = kernel.generator
  maps = sum(
    generator.offset_bytes(axis, kernel.shape)
    for axis in generator.offsets(kernel.shape)
  )
  return tensors + factors + maps
