"""How a total of stored numbers is shared out among kernels, integers allowing."""

from collections.abc import Sequence

from neural_epitome.epitome import rates
from neural_epitome.epitome.generators import Dense, GeneratorSpec, Rule
from neural_epitome.epitome.generators.base import at_most
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.errors import UserError

# A kernel may fall so far short of its share for a form its rule prefers; what is
# left over goes to the larger ones.
_BELOW = 0.05
# The total is mended until it is within this share of what is wanted.
_CLOSE = 0.002


def generators(
  rule: Rule, uses: Sequence[KernelUse], budget: int, shares: Sequence[float]
) -> dict[str, GeneratorSpec]:
  """A generator for every kernel, together of the wanted size.

  Args:
    rule: the family.
    uses: the kernels.
    budget: numbers stored for all of them.
    shares: what each should have, up to a common factor; above 0.

  Returns:
    Generators by path. Together they store `budget` numbers within 1%, and nearer
    where their integers allow.

  Raises:
    UserError: if even the smallest generators of the family store more, or none of
      them come within 1%; it names the family and the kernel that takes the most.
  """
  if budget >= sum(use.size for use in uses):
    return {use.path: Dense() for use in uses}
  smallest = [min(use.size, rule.smallest(use)) for use in uses]
  if sum(smallest) > at_most(budget):
    raise _unreachable(rule, uses, smallest, budget)
  sizes = share_out(budget, shares, smallest, [use.size for use in uses])
  chosen: dict[str, GeneratorSpec] = {}
  # Small kernels first: what their integers leave over, larger ones can take up.
  carry = 0.0
  order = sorted(range(len(uses)), key=lambda i: (uses[i].size, i))
  for i in order:
    use, lowest = uses[i], smallest[i]
    # A carry that does not matter is no reason to leave the form the rule prefers.
    aim = sizes[i] + (carry if abs(carry) > 0.01 * sizes[i] else 0.0)
    aim = min(use.size, max(lowest, round(aim)))
    chosen[use.path] = rates.smaller(rule, use, aim, _BELOW)
    carry = sizes[i] + carry - chosen[use.path].stored(use.shape)
  largest_first = [(uses[i], smallest[i]) for i in order[::-1]]
  chosen = _mend(rule, largest_first, chosen, budget)
  chosen = _mend_pairs(rule, largest_first, chosen, budget)
  total = sum(chosen[use.path].stored(use.shape) for use in uses)
  if abs(total - budget) > 0.01 * budget:
    raise UserError(
      f"{rule.kind} cannot store {len(uses)} kernels in {budget:,} numbers within 1%: "
      f"the nearest it comes is {total:,}. Choose another rate."
    )
  return chosen


def share_out(
  budget: float,
  shares: Sequence[float],
  lowest: Sequence[float],
  highest: Sequence[float],
) -> list[float]:
  """Splits `wanted` in proportion to `shares`, each part within its bounds.

  Where the bounds leave no such split, every part is at the bound in the way.
  """

  def parts(factor: float) -> list[float]:
    limits = zip(shares, lowest, highest, strict=True)
    return [min(high, max(low, factor * share)) for share, low, high in limits]

  below = 0.0
  above = max(high / share for high, share in zip(highest, shares, strict=True))
  for _ in range(100):
    middle = (below + above) / 2
    if sum(parts(middle)) < budget:
      below = middle
    else:
      above = middle
  return parts(above)


def _mend(
  rule: Rule,
  uses: Sequence[tuple[KernelUse, int]],
  chosen: dict[str, GeneratorSpec],
  budget: int,
) -> dict[str, GeneratorSpec]:
  """Resizes one kernel after another, each time the one that mends the total most."""
  chosen = dict(chosen)
  for _ in range(len(uses)):
    sizes = {use.path: chosen[use.path].stored(use.shape) for use, _ in uses}
    missing = budget - sum(sizes.values())
    if abs(missing) <= _CLOSE * budget:
      break
    best, left = None, abs(missing)
    for use, lowest in uses:
      aim = min(use.size, max(lowest, sizes[use.path] + missing))
      generator = rates.smaller(rule, use, aim, 0.0)
      error = abs(missing + sizes[use.path] - generator.stored(use.shape))
      if error < left:
        best, left = (use.path, generator), error
    if best is None:
      break
    chosen[best[0]] = best[1]
  return chosen


def _mend_pairs(
  rule: Rule,
  uses: Sequence[tuple[KernelUse, int]],
  chosen: dict[str, GeneratorSpec],
  budget: int,
) -> dict[str, GeneratorSpec]:
  """Where no kernel alone brings the total within 1%: a step of one, then another."""

  def missing(chosen_: dict[str, GeneratorSpec]) -> int:
    return abs(budget - sum(chosen_[use.path].stored(use.shape) for use, _ in uses))

  if missing(chosen) <= 0.01 * budget:
    return chosen
  candidates = [chosen]
  for use, lowest in uses:
    size = chosen[use.path].stored(use.shape)
    for direction in (-1, 1):
      step = 1
      while lowest <= (aim := size + direction * step) <= use.size:
        generator = rates.smaller(rule, use, aim, 0.0)
        if generator.stored(use.shape) != size:
          others = [pair for pair in uses if pair[0] is not use]
          rest = budget - generator.stored(use.shape)
          mended = _mend(rule, others, chosen, rest)
          candidates.append(mended | {use.path: generator})
          break
        step *= 2
  return min(candidates, key=missing)


def _unreachable(
  rule: Rule, uses: Sequence[KernelUse], smallest: Sequence[int], budget: int
) -> UserError:
  size, path, shape = max(
    (size, use.path, use.shape) for size, use in zip(smallest, uses, strict=True)
  )
  return UserError(
    f"{rule.kind} cannot store {len(uses)} kernels in {budget:,} numbers: it takes "
    f"{sum(smallest):,} at least, {size:,} of them for {path} {list(shape)}. Lower "
    "the rate or keep such kernels dense."
  )
