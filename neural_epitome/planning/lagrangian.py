"""The choices of least loss within a budget, where losses and prices add up.

For a multiplier m >= 0 the best choice of every item is the one of least
loss + m price, whatever the others are, and what these cost falls as m grows. So one
multiplier shares a budget out (Everett, 1963, "Generalized Lagrange multiplier method
for solving problems of optimum allocation of resources").
"""

from collections.abc import Sequence

Table = Sequence[Sequence[float]]


def choose(losses: Table, prices: Table, budget: float) -> list[int] | None:
  """An index for every item, together within the budget.

  Args:
    losses: of each choice of each item, added up.
    prices: of each choice of each item, added up.
    budget: the most that the choices may cost together.

  Returns:
    Choices at the multiplier that the budget asks for, and then, as long as what is
    left over pays for it, the single change that gains most for its price. None if
    even the cheapest cost more.
  """
  items = range(len(prices))

  def best(multiplier: float) -> list[int]:
    return [
      min(
        range(len(prices[i])),
        key=lambda k, i=i: (losses[i][k] + multiplier * prices[i][k], prices[i][k]),
      )
      for i in items
    ]

  def price(chosen: Sequence[int]) -> float:
    return sum(prices[i][k] for i, k in zip(items, chosen, strict=True))

  cheapest = [min(range(len(row)), key=lambda k, row=row: row[k]) for row in prices]
  if price(cheapest) > budget:
    return None
  below, above = 0.0, 1.0
  chosen = best(below)
  if price(chosen) > budget:
    # The cheapest choices are the best ones from some multiplier on.
    while price(best(above)) > budget:
      below, above = above, 2.0 * above
    for _ in range(100):
      middle = (below + above) / 2.0
      if price(best(middle)) > budget:
        below = middle
      else:
        above = middle
    chosen = best(above)
  return _spend(losses, prices, budget - price(chosen), chosen)


def _spend(losses: Table, prices: Table, left: float, chosen: list[int]) -> list[int]:
  chosen = list(chosen)
  while True:
    gains = [
      (gain / more, i, k, more)
      for i, now in enumerate(chosen)
      for k in range(len(prices[i]))
      if 0 < (more := prices[i][k] - prices[i][now]) <= left
      and (gain := losses[i][now] - losses[i][k]) > 0
    ]
    if not gains:
      return chosen
    _, i, k, more = max(gains)
    chosen[i], left = k, left - more
