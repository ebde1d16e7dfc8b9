"""A budget in parameters, bytes or multiply-adds, met at one rate for all kernels."""

import dataclasses
import re
from collections.abc import Callable
from typing import ClassVar

from neural_epitome.cost import totals
from neural_epitome.cost.inventory import Inventory
from neural_epitome.domains import Bits, Budget
from neural_epitome.epitome.plan import Plan
from neural_epitome.errors import UserError
from neural_epitome.planning.base import Planner
from neural_epitome.planning.rate import RatePlanner


@dataclasses.dataclass(frozen=True)
class BudgetPlanner(Planner):
  """The smallest rate at which everything that is stored, and run, fits.

  Attributes:
    parameters: numbers stored in all, routing maps and batch norm included.
    bytes: the same in bytes, kernels' tensors at `bits` and the rest at 32; without
      the names and the plan that a compact file has beside them.
    madds: multiply-adds of one image, layers folded (blockwise routing never
      folds, so it cannot meet such a budget).
    bits: of the kernels' tensors in the file whose bytes are counted, 32 or 1 to 8;
      the plan gives them more where the network is rounded only when it is exported.
    rules: which kernels are compressed, and how; its rate is ignored.
  """

  kind: ClassVar[str] = "budget"

  parameters: Budget | None = None
  bytes: Budget | None = None
  madds: Budget | None = None
  bits: Bits = 32
  rules: RatePlanner = RatePlanner()

  def plan(self, inventory: Inventory) -> Plan:
    """The plan of the smallest rate at which the budget is met; see `fitted`."""
    return self.fitted(inventory)

  def fitted(
    self, inventory: Inventory, file_bytes: Callable[[Plan], int] | None = None
  ) -> Plan:
    """The plan, for a budget whose bytes may be those of a whole file.

    Args:
      inventory: of the architecture.
      file_bytes: the bytes of a plan's file; None counts those of its numbers alone.

    Raises:
      UserError: if no budget is given, or one is below what is feasible, naming
        the smallest feasible one.
    """
    budgets = self.budgets()
    if not budgets:
      raise UserError(
        "The budget planner needs planner.parameters, planner.bytes or planner.madds."
      )

    def at(rate: float) -> tuple[Plan, dict[str, int]]:
      plan = dataclasses.replace(self.rules, rate=rate).plan(inventory)
      stored = plan.narrowed(self.bits)
      prices = in_units(totals.price(stored, inventory, "fold"))
      if file_bytes is not None and self.bytes is not None:
        prices["bytes"] = file_bytes(stored)
      return plan, prices

    def fits(prices: dict[str, int]) -> bool:
      return all(prices[name] <= budget for name, budget in budgets.items())

    plan, prices = at(1.0)
    if fits(prices):
      return plan
    low, high = 1.0, self.rules.highest_rate(inventory)
    best, prices = at(high)
    for name, budget in budgets.items():
      if prices[name] > budget:
        finer = ""
        if name == "bytes" and self.bits > 8 and file_bytes is None:
          least = totals.price(best.narrowed(8), inventory).stored_bytes
          finer = f"with bits=8 it is {least:,}; "
        raise UserError(
          f"planner.{name}={budget:,} cannot be met: the smallest feasible budget is "
          f"{prices[name]:,} ({finer}planner.rules says what stays dense; the dense "
          f"network has {at(1.0)[1][name]:,})."
        )
    while high / low > 1.0005:
      middle = (low * high) ** 0.5
      try:
        plan, prices = at(middle)
      except UserError:
        # The integers of a rule leave nothing near this rate; smaller plans remain.
        low = middle
        continue
      if fits(prices):
        best, high = plan, middle
      else:
        low = middle
    return best

  def budgets(self) -> dict[str, int]:
    """The budgets that are not None, by the name of the attribute."""
    names = ("parameters", "bytes", "madds")
    planner_ = {name: getattr(self, name) for name in names}
    return {name: value for name, value in planner_.items() if value is not None}


def in_units(price: totals.Totals) -> dict[str, int]:
  """A price in the units of each budget, by its name."""
  return {
    "parameters": price.stored_params,
    "bytes": price.stored_bytes,
    "madds": price.madds,
  }


_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20}
_BUDGET = re.compile(
  r"\s*([0-9.]+)\s*(?:([kmg]i?)?\s*(b|bytes?|params?|parameters?|madds?)|(x))\s*",
  re.IGNORECASE,
)


def planner(text: str, rules: RatePlanner, bits: int = 32) -> Planner:
  """The planner that meets a budget, which is written as text.

  Args:
    text: bytes ("1.0MB", "300kB", "2MiB"), numbers ("1.2M parameters"), multiply-adds
      of one example ("20M madds"), or the rate of the compressed kernels ("4x").
    rules: which kernels are compressed, and how.
    bits: of a stored number of a kernel's tensors.

  Raises:
    UserError: if the text is none of these.
  """
  planner_ = _BUDGET.fullmatch(str(text))
  try:
    number, unit, what, is_rate = planner_.groups() if planner_ else ("", "", "", "")
    value = float(number) * _UNITS[(unit or "").lower()]
  except (KeyError, ValueError):
    raise UserError(
      f"budget={text!r} is not understood; write '1.0MB', '1.2M parameters', "
      "'20M madds' or '4x'."
    ) from None
  if is_rate:
    return dataclasses.replace(rules, rate=value)
  kind = {"b": "bytes", "p": "parameters", "m": "madds"}[what[0].lower()]
  return BudgetPlanner(bits=bits, rules=rules, **{kind: int(value)})


def file_bytes(text: str, whole: int) -> int:
  """The bytes of a file that a budget asks for in words.

  Args:
    text: bytes ("300kB"), or how many times smaller than the whole ("10x").
    whole: bytes.

  Raises:
    UserError: if the text is neither, or not above 0, or asks for a file that is
      larger than the whole.
  """
  refusal = UserError(
    f"budget={text!r} must be bytes of a file ('300kB') or a ratio ('10x')."
  )
  try:
    planner_ = planner(text, RatePlanner())
  except UserError:
    # What it says names units of other budgets too.
    raise refusal from None
  if isinstance(planner_, RatePlanner) and 0 < planner_.rate < 1:
    raise UserError(
      f"budget={text!r} is a file larger than it was: how many times smaller is asked, "
      f"and {1 / planner_.rate:.3g}x leaves {planner_.rate:.3g} of it."
    )
  if isinstance(planner_, RatePlanner) and planner_.rate:
    return int(whole / planner_.rate)
  if isinstance(planner_, BudgetPlanner) and planner_.bytes:
    return planner_.bytes
  raise refusal


def absolute(
  text: str, rules: RatePlanner, inventory: Inventory, bits: int = 32
) -> BudgetPlanner:
  """`planner`, but a rate becomes a budget: the parameters that are stored at it.

  Args:
    text: see `planner`.
    rules: which kernels are compressed, and how.
    inventory: of the architecture, whose parameters are counted.
    bits: see `planner`.

  Raises:
    UserError: if the text is no budget, see `planner`, or the rules cannot reach the
      rate.
  """
  planner_ = planner(text, rules, bits)
  if isinstance(planner_, BudgetPlanner):
    return planner_
  price = totals.price(planner_.plan(inventory), inventory)
  return BudgetPlanner(parameters=price.stored_params, bits=bits, rules=rules)
