"""AMC's walk: within the budget whatever the agent does, seen as the paper has it."""

import numpy as np
import pytest

from neural_epitome.strategies import amc
from tests.strategies.made_up import JUDGE, SPACE


@pytest.mark.parametrize("seed", range(20))
def test_every_walk_ends_within_the_budget(seed):
  """Whatever the actions are, and as near to them as it allows."""
  random = np.random.default_rng(seed)
  walk = amc._Walk(JUDGE.problem(0))
  arch, states, actions = walk.taken(lambda state: float(random.random()))
  assert SPACE.price_of(arch) <= JUDGE.budget
  np.testing.assert_allclose(actions[:, 0] * 3, walk._genes.options(arch), atol=1e-6)
  # The last action is seen in the next state.
  np.testing.assert_allclose(states[1:, -1], actions[:-1, 0])


def test_the_dearest_actions_spend_the_budget_to_its_end():
  arch, states, _ = amc._Walk(JUDGE.problem(0)).taken(lambda state: 1.0)
  assert SPACE.price_of(arch) == JUDGE.budget
  # What is spent already is the third feature, in shares of the budget.
  np.testing.assert_allclose(states[:, 2], [0.0, 0.3, 0.6, 0.9, 1.0], atol=1e-6)


@pytest.mark.parametrize(("mean", "noise"), [(0.0, 0.5), (0.5, 0.5), (0.9, 0.05)])
def test_noise_is_normal_and_stays_in_the_interval(mean, noise):
  random = np.random.default_rng(0)
  drawn = [amc._noisy(mean, noise, random) for _ in range(4000)]
  assert min(drawn) >= 0
  assert max(drawn) <= 1
  plain = random.normal(mean, noise, 200_000)
  inside = plain[(plain >= 0) & (plain <= 1)]
  assert np.mean(drawn) == pytest.approx(np.mean(inside), abs=0.02)


def test_without_noise_the_agent_is_followed():
  assert amc._noisy(0.3, 0.0, np.random.default_rng(0)) == 0.3
