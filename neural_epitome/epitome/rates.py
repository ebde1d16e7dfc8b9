"""The generator of one kernel from a rate: how a layer is told its size in one number.

A planner shares a total out among all kernels of a network; a layer knows its own
alone. What both do with a kernel that is too small to be compressed is here.
"""

from neural_epitome.epitome.generators import Dense, EpitomeRule, GeneratorSpec, Rule
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.epitome.plan import Plan
from neural_epitome.errors import UserError

# Of a layer that is given a rule and no rate.
_RATE = 2.0


def smaller(
  rule: Rule, use: KernelUse, stored: int, below: float = 0.01
) -> GeneratorSpec:
  """A rule's generator of a kernel, or `Dense` where that stores nothing less.

  Args:
    rule: the family of generators.
    use: the kernel.
    stored: numbers wanted for it, offsets and scales included.
    below: see `Rule.at`.

  Raises:
    UserError: if the rule cannot store the kernel in so few numbers.
  """
  if stored >= use.size:
    return Dense()
  generator = rule.at(use, stored, below)
  return generator if generator.stored(use.shape) < use.size else Dense()


def at_rate(rule: Rule, use: KernelUse, rate: float) -> GeneratorSpec:
  """The generator of a kernel that stores 1 / rate of its weights.

  As with the planners, no kernel stores more than its weights, nor less than its rule
  can: one that is too small for the rate is compressed as far as the rule goes, and one
  that cannot be compressed at all stays dense, as every depthwise kernel does.

  Args:
    rule: the family of generators.
    use: the kernel.
    rate: weights of the kernel over the numbers stored for it, at least 1.

  Raises:
    UserError: if the rate is below 1, or the rule has one size only.
  """
  if not rate >= 1:
    raise UserError(f"rate={rate} must be at least 1 (1 is dense).")
  if rule.is_fixed:
    raise UserError(
      f"rule={rule.kind} has one size, whatever the rate: give a layer bits= for "
      "integers, or generator=."
    )
  if use.is_depthwise:
    return Dense()
  fewest = min(use.size, rule.smallest(use))
  return smaller(rule, use, max(fewest, round(use.size / rate)))


def of_layer(
  generator: GeneratorSpec | Plan | None,
  rate: float | None,
  rule: Rule | None,
  use: KernelUse,
) -> GeneratorSpec | Plan:
  """What a layer's kernel comes from, of the three arguments that may say it.

  Args:
    generator: of this kernel, or the plan of its network; alone.
    rate: see `at_rate`; 2 where only a rule is given.
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
  return at_rate(rule or EpitomeRule(), use, _RATE if rate is None else rate)
