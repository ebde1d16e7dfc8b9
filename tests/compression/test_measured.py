"""Budgets met by measured choices, with the least error that was met."""

import numpy as np
import pytest

from neural_epitome.compression import compact_file, hull, measured
from neural_epitome.compression.choice import Choice
from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome.generators import Dense
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.errors import UserError


def normal(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


KERNELS = {
  "a/kernel": normal(3, 3, 16, 24),
  "b/kernel": normal(64, 48, seed=1),
  "c/kernel": normal(64, 48, seed=2) * np.float32(10),
}
INVENTORY = Inventory(tuple(KernelUse(p, k.shape) for p, k in KERNELS.items()), {})


@pytest.fixture(scope="module")
def tables():
  return measured.compare(KERNELS)


def file_bytes(plan, stored):
  del stored
  return compact_file.file_bytes(plan, {})


def fitted(tables, budget, sensitivity=None):
  return measured.fit(KERNELS, INVENTORY, tables, budget, file_bytes, sensitivity)


@pytest.mark.slow
def test_a_budget_is_met_and_more_bytes_leave_no_more_error(tables):
  errors = []
  for budget in (2000, 3000, 4500, 7000, 12_000, 30_000):
    solution = fitted(tables, budget)
    assert solution.nbytes == file_bytes(solution.plan, {}) <= budget
    assert solution.plan.kernels.keys() == KERNELS.keys() == solution.stored.keys()
    errors.append(sum(one.choice.error for one in solution.stored.values()))
  assert errors == sorted(errors, reverse=True)
  assert errors[-1] < 0.01 < 0.5 < errors[0]


@pytest.mark.slow
def test_a_budget_that_cannot_be_met_names_the_smallest_that_can(tables):
  with pytest.raises(UserError) as caught:
    fitted(tables, 100)
  assert "\n" not in str(caught.value)
  least = int(str(caught.value).split()[-1].rstrip(".").replace(",", ""))
  assert fitted(tables, least).nbytes == least
  with pytest.raises(UserError, match=f"{least:,}"):
    fitted(tables, least - 1)


@pytest.mark.slow
def test_bytes_go_to_the_kernel_whose_error_counts_more(tables):
  def nbytes(solution, path):
    return solution.stored[path].choice.nbytes

  even = fitted(tables, 4000)
  for path in ("b/kernel", "c/kernel"):
    moved = fitted(tables, 4000, {path: 30.0})
    assert nbytes(moved, path) > 1.2 * nbytes(even, path)
    assert moved.stored[path].choice.error < even.stored[path].choice.error
    # A kernel that counts for nothing gets the least.
    without = fitted(tables, 4000, {path: 0.0})
    assert nbytes(without, path) < 0.5 * nbytes(even, path)


def test_the_hull_has_no_choice_above_a_line_between_two_others():
  random = np.random.default_rng(0)
  points = random.uniform(size=(60, 2))
  every = [Choice(Dense(), 8, y, 100 * x) for x, y in points]
  kept = hull.lower(every)
  sizes, errors = [c.nbytes for c in kept], [c.error for c in kept]
  assert kept[0] is min(every, key=lambda c: c.nbytes)
  assert kept[-1] is min(every, key=lambda c: c.error)
  assert np.all(np.diff(np.diff(errors) / np.diff(sizes)) > 0)
  for choice in every:
    assert choice.error >= np.interp(choice.nbytes, sizes, errors) - 1e-12


def test_choices_of_one_size_leave_the_better_one():
  every = [Choice(Dense(), 8, e, 10) for e in (0.3, 0.1, 0.2)]
  assert hull.lower(every) == [every[1]]


@pytest.mark.slow
def test_what_is_left_of_a_budget_is_spent():
  kernels = {"a/kernel": normal(3, 3, 32, 48)}
  inventory = Inventory((KernelUse("a/kernel", (3, 3, 32, 48)),), {})
  tables = measured.compare(kernels)
  spent = [
    measured.fit(kernels, inventory, tables, budget, file_bytes).nbytes / budget
    for budget in (2500, 3500, 5000, 7000)
  ]
  assert all(0.8 < share <= 1 for share in spent)
  assert np.mean(spent) > 0.92
