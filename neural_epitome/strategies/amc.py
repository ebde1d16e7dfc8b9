"""An agent that walks through a network gene by gene, within its budget: AMC.

He et al., AMC: AutoML for Model Compression, ECCV 2018 (arXiv 1802.03494). One episode
is one choice: at each gene the agent answers with a number in [0, 1], that is, how far
along the gene's options; accuracy is the reward of every step. Before an action is
used, it is cut so that the budget can still be met if all that follows is at its
cheapest (the paper's algorithm 1), so every choice fits.
"""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from neural_epitome.domains import Amount, Count, Decay, Share, Whole
from neural_epitome.errors import UserError
from neural_epitome.spaces.arch import ArchEncoding
from neural_epitome.spaces.genes import Genes
from neural_epitome.strategies import ddpg
from neural_epitome.strategies.base import Problem, Questions, Strategy
from neural_epitome.strategies.ddpg import Agent, Ddpg, Transitions

_FEATURES = 5
# Episodes for each question: an agent that is sure walks the same way again.
_EPISODES = 3


@dataclasses.dataclass(frozen=True)
class Amc(Strategy):
  """Asks for the choice of each walk, and the agent learns from all walks so far.

  Attributes:
    evaluations: number of choices; the paper has 400 to 800 walks.
    warmup: first walks, whose actions are drawn evenly and teach nothing yet.
    noise: standard deviation of a walk's actions around the agent's, cut to [0, 1].
    noise_decay: of it, a walk.
    baseline_decay: of the moving mean that is taken off the rewards.
    agent: how it learns.
  """

  kind: ClassVar[str] = "amc"

  evaluations: Count = 200
  warmup: Whole = 25
  noise: Amount = 0.5
  noise_decay: Share = 0.95
  baseline_decay: Decay = 0.95
  agent: Ddpg = Ddpg()

  def check(self) -> None:
    """Raises UserError if the options are unfit."""
    if self.evaluations < 1:
      raise UserError(f"search.strategy needs evaluations={self.evaluations} above 0.")

  def search(self, problem: Problem) -> Questions:
    """Yields one choice a walk that ends at a new one; see `Strategy.search`."""
    random, walk = np.random.default_rng(problem.seed), _Walk(problem)
    agent = ddpg.start(self.agent, _FEATURES, jax.random.key(problem.seed))
    store = _Store(_EPISODES * self.evaluations * len(walk.counts))
    known: dict[ArchEncoding, float] = {}
    baseline: float | None = None
    for episode in range(_EPISODES * self.evaluations):
      arch, states, actions = walk.taken(self._actor(agent, episode, random))
      if arch not in known:
        [known[arch]] = yield [arch]
      if len(known) >= self.evaluations:
        return
      decay = self.baseline_decay if baseline is not None else 0.0
      baseline = decay * (baseline or 0.0) + (1 - decay) * known[arch]
      store.add(states, actions, known[arch] - baseline)
      if episode >= self.warmup:
        key = jax.random.fold_in(jax.random.key(problem.seed), episode)
        count = jnp.asarray(store.count, jnp.int32)
        agent = ddpg.learn(
          self.agent, agent, store.transitions, count, len(states), key
        )

  def expected(self, problem: Problem) -> int:
    """`evaluations`."""
    del problem
    return self.evaluations

  def _actor(
    self, agent: Agent, episode: int, random: np.random.Generator
  ) -> Callable[[np.ndarray], float]:
    """How a walk acts: at random at first, then as the agent does, with noise."""
    noise = self.noise * self.noise_decay ** max(0, episode - self.warmup)

    def action(state: np.ndarray) -> float:
      if episode < self.warmup:
        return float(random.random())
      mean = float(ddpg.act(self.agent, agent, jnp.asarray(state)))
      return _noisy(mean, noise, random)

    return action


def _noisy(mean: float, noise: float, random: np.random.Generator) -> float:
  """From a normal distribution that is cut to [0, 1]."""
  if noise < 1e-6:
    return mean
  ends = np.array([0.0, 1.0])
  low, high = stats.norm.cdf((ends - mean) / noise)
  return float(
    np.clip(mean + noise * stats.norm.ppf(random.uniform(low, high)), 0.0, 1.0)
  )


class _Walk:
  """Through the genes of a problem."""

  def __init__(self, problem: Problem):
    self._problem, self._genes = problem, Genes(problem.space)
    self.counts = self._genes.counts
    self._cheapest = self._genes.options(problem.space.smallest)

  def taken(
    self, action: Callable[[np.ndarray], float]
  ) -> tuple[ArchEncoding, np.ndarray, np.ndarray]:
    """The choice at which a walk ends, its states and its actions.

    Args:
      action: of a state, float32 (features,), a number in [0, 1].

    Returns:
      The choice; float32 (genes, features); float32 (genes, 1), as they were used.
    """
    options, last = self._cheapest.copy(), 1.0
    states, actions = [], []
    for gene, count in enumerate(self.counts):
      prices = self._prices(options, gene)
      spent = prices[options[gene]] / self._problem.budget
      dearest = max(prices) / self._problem.budget
      state = np.array(
        [
          gene / len(self.counts),
          count / max(self.counts),
          spent,
          dearest - spent,
          last,
        ],
        np.float32,
      )
      wanted = action(state) * (count - 1)
      fitting = [n for n in range(count) if prices[n] <= self._problem.budget]
      # The cheapest choice fits, and so does this gene as it is there.
      options[gene] = min(fitting, key=lambda option: abs(option - wanted))
      last = options[gene] / max(1, count - 1)
      states.append(state)
      actions.append([last])
    arch = self._genes.arch(options)
    return arch, np.array(states), np.array(actions, np.float32)

  def _prices(self, options: np.ndarray, gene: int) -> list[float]:
    """Of every option of a gene, what follows being at its cheapest."""
    prices = []
    for option in range(self.counts[gene]):
      tried = options.copy()
      tried[gene] = option
      prices.append(self._problem.price(self._genes.arch(tried)))
    return prices


class _Store:
  """The transitions of all walks so far, in arrays of one size."""

  def __init__(self, most: int):
    self.count = 0
    self.transitions = Transitions(
      np.zeros((most, _FEATURES), np.float32),
      np.zeros((most, 1), np.float32),
      np.zeros(most, np.float32),
      np.zeros((most, _FEATURES), np.float32),
      np.zeros(most, np.float32),
    )

  def add(self, states: np.ndarray, actions: np.ndarray, reward: float) -> None:
    """Adds a walk: every step of it is rewarded alike."""
    here = slice(self.count, self.count + len(states))
    self.transitions.state[here] = states
    self.transitions.action[here] = actions
    self.transitions.reward[here] = reward
    self.transitions.following[here] = np.concatenate([states[1:], states[-1:]])
    self.transitions.is_last[here] = np.arange(len(states)) == len(states) - 1
    self.count += len(states)
