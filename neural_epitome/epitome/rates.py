"""The generator of one kernel from a rate: its size in one number.

A planner shares a total out among all kernels of a network; a layer knows its own
alone. What both do with a kernel that is too small to be compressed is here.
"""

from neural_epitome.epitome.generators import Dense, GeneratorSpec, Rule
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.errors import UserError


def smaller(
  rule: Rule, use: KernelUse, stored: int, below: float = 0.01
) -> GeneratorSpec:
  """A rule's generator of a kernel, or `Dense` where that stores nothing less.

  Args:
    rule: the family of generators.
    use: the kernel.
    stored: numbers to store for it, offsets and scales included.
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
