"""Where a layer's kernel comes from: its own arguments, or the plan of its network."""

from collections.abc import Mapping

from neural_epitome.epitome import plan as plans
from neural_epitome.epitome import rates
from neural_epitome.epitome.generators import Dense, EpitomeRule, GeneratorSpec, Rule
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.epitome.plan import Plan
from neural_epitome.epitome.sampling import Shape
from neural_epitome.errors import UserError

# Of a layer that is given a rule and no rate.
_RATE = 2.0


def of_layer(
  generator: GeneratorSpec | Plan | None,
  rate: float | None,
  rule: Rule | None,
  use: KernelUse,
) -> GeneratorSpec | Plan:
  """What a layer's kernel comes from, of the three arguments that may say it.

  Args:
    generator: of this kernel, or the plan of its network; alone.
    rate: see `rates.at_rate`; 2 where only a rule is given.
    rule: the family of generators; `EpitomeRule()` where only a rate is given.
    use: the kernel.

  Returns:
    The generator or plan; `Dense()` where there is no argument.

  Raises:
    UserError: if a generator is given beside a rate or a rule, or the rate is below 1.
  """
  if generator is not None:
    if rate is not None or rule is not None:
      raise UserError(
        "generator= says how the whole kernel is made: leave out rate= and rule=."
      )
    return generator
  if rate is None and rule is None:
    return Dense()
  return rates.at_rate(rule or EpitomeRule(), use, _RATE if rate is None else rate)


def layer_plan(
  source: GeneratorSpec | Plan, path: str, shape: Shape, bits: int = 32
) -> tuple[GeneratorSpec, Mapping[str, str], Mapping[str, int]]:
  """What a layer at `path` builds its kernel of `shape` with.

  Args:
    source: a generator for this very layer, or the plan of its network.
    path: parameter path of the kernel.
    shape: of the full kernel.
    bits: of a generator's tensors; 32 beside a plan, which has bits of its own.

  Returns:
    The generator, and for each role the tensor's full name and its bits.

  Raises:
    UserError: if the plan is of another architecture, or bits stand beside a plan.
  """
  if isinstance(source, Plan):
    kernel = source.kernels.get(path)
    if kernel is None or kernel.shape != shape:
      planned = "no such kernel" if kernel is None else f"shape {list(kernel.shape)}"
      raise UserError(
        f"The plan is for another architecture: the model wants {path!r} of shape "
        f"{list(shape)}, the plan has {planned}."
      )
    if bits != 32:
      raise UserError(
        f"{path} has bits={bits} beside a plan, which says the bits of every tensor; "
        f"use plan.narrowed({bits})."
      )
    widths = {role: source.tensors[name].bits for role, name in kernel.tensors.items()}
    return kernel.generator, kernel.tensors, widths
  source.check(shape)
  roles = source.tensors(shape)
  widths = {role: source.tensor_bits(role) or bits for role in roles}
  return source, {role: plans.beside(path, role) for role in roles}, widths
