"""FLASH's climb to what the law predicts to be best within a budget."""

import numpy as np

from neural_epitome.spaces.genes import Genes
from neural_epitome.strategies import flash
from neural_epitome.strategies.degree_law import DegreeLaw
from tests.strategies.made_up import JUDGE, SPACE

GENES = Genes(SPACE)
PROBLEM = JUDGE.problem(0)
FITTING = [arch for arch in SPACE.table.choices if PROBLEM.fits(arch)]


def law(seed):
  """One whose capacities say nothing of prices."""
  capacity = np.random.default_rng(seed).lognormal(size=sum(GENES.counts))
  starts = np.cumsum((0, *GENES.counts[:-1]))
  return DegreeLaw(1.0, 1.0, 0.0, capacity, starts)


def test_a_climb_ends_at_or_near_the_best_that_the_budget_allows():
  options = np.stack([*map(GENES.options, FITTING)])
  reached = []
  for seed in range(20):
    own = law(seed)
    top = flash._climbed(PROBLEM, GENES, own, SPACE.smallest)
    assert PROBLEM.fits(top)
    reached.append(own.degree(GENES.options(top)) / own.degree(options).max())
  assert np.mean(reached) > 0.97
  assert np.mean(np.isclose(reached, 1.0)) >= 0.5


def test_steps_change_one_gene_or_one_up_and_another_down_the_best_first():
  own, options = law(0), GENES.options(SPACE.smallest) + 1
  for stride in (1, 2):
    steps = flash._steps(own, options, GENES.counts, stride)
    degrees = own.degree(steps)
    assert np.all(np.diff(degrees) <= 0)
    assert len({tuple(step) for step in steps.tolist()}) == len(steps)
    gains = own.capacity[own.starts + steps] - own.capacity[own.starts + options]
    changed = np.sum(steps != options, axis=1)
    assert set(changed) == {1, 2}
    assert np.all(np.sum(gains[changed == 2] > 0, axis=1) == 1)


def test_where_genes_have_one_option_there_is_no_step():
  one = DegreeLaw(1.0, 1.0, 0.0, np.ones(2), np.array([0, 1]))
  assert flash._steps(one, np.zeros(2, int), (1, 1), stride=1).shape == (0, 2)
