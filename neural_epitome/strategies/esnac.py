"""Bayesian optimisation in a learned space of choices: the search of ESNAC.

Cao et al., Learnable Embedding Space for Efficient Neural Architecture Compression,
ICLR 2019 (arXiv 1902.00383): the covariance of a Gaussian process is learned
(`learned_kernel`), several kernels learn on different parts of what was measured so
that none of them is trusted alone, and each asks for the choice from which it expects
most improvement. The paper draws the 1,000 choices that it compares for that at random;
here half of fewer are children of the best ones. (Halves as the parts that kernels
learn from, sizes of the LSTM, steps and rate of learning are not the paper's, and its
objective is recalled, not compared with it.)
"""

import dataclasses
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np

from neural_epitome.domains import Count, Positive, Share
from neural_epitome.errors import UserError
from neural_epitome.spaces.arch import ArchEncoding
from neural_epitome.spaces.genes import Genes
from neural_epitome.strategies import acquisition, gaussian_process, learned_kernel
from neural_epitome.strategies.base import Problem, Questions, Strategy
from neural_epitome.strategies.learned_kernel import Embedding, Kernels


@dataclasses.dataclass(frozen=True)
class Esnac(Strategy):
  """Asks in each round for one choice of each kernel.

  Attributes:
    evaluations: number of choices.
    first: of them, drawn before there is a kernel.
    kernels: how many learn, and choices of a round.
    subset: the most choices that a kernel learns from in a round; it is half of what
      was measured where that is less.
    steps: of learning, in each round.
    rate: learning rate of Adam.
    hidden: units of the LSTM in each direction.
    features: of the learned space.
    candidates: choices that are compared in each round.
    parents: the best choices so far, whose children are candidates.
    mutation: probability that a gene of a mutation is drawn anew.
    objective: `accuracy`, or the paper's `compression`, accuracy times C (2 - C), where
      C is the share of the largest choice's price that is saved. Its teacher's
      accuracy, by which the paper divides, changes no order.
  """

  kind: ClassVar[str] = "esnac"

  evaluations: Count = 200
  first: Count = 20
  kernels: Count = 8
  subset: Count = 64
  steps: Count = 20
  rate: Positive = 0.01
  hidden: Count = 16
  features: Count = 16
  candidates: Count = 64
  parents: Count = 10
  mutation: Share = 0.2
  objective: Literal["accuracy", "compression"] = "accuracy"

  def check(self) -> None:
    """Raises UserError if the options are unfit."""
    sizes = dataclasses.asdict(self)
    wrong = {
      name: value
      for name, value in sizes.items()
      if name not in ("mutation", "objective") and not value > 0
    }
    if wrong:
      told = ", ".join(f"{name}={value}" for name, value in wrong.items())
      raise UserError(f"search.strategy needs {told} above 0.")

  def search(self, problem: Problem) -> Questions:
    """Yields what is drawn first, and then round by round; see `Strategy.search`."""
    random, genes = np.random.default_rng(problem.seed), Genes(problem.space)
    embedding = Embedding(genes.counts, genes.places, self.hidden, self.features)
    key = jax.random.key(problem.seed)
    kernels = learned_kernel.start(embedding, self.rate, key, self.kernels)
    known: dict[ArchEncoding, float] = {}
    archs = problem.drawn(random, min(self.first, self.evaluations))
    while archs:
      answers = yield archs
      for arch, top1 in zip(archs, answers, strict=True):
        known[arch] = self._reward(problem, arch, top1)
      count = min(self.kernels, self.evaluations - len(known))
      if count < 1:
        break
      kernels = self._learned(random, genes, embedding, kernels, known)
      archs = self._next(problem, random, genes, embedding, kernels, known)[:count]
    # The most accurate one is the result unless it is said which one is.
    is_by_price = self.objective == "compression" and known
    return [max(known, key=known.__getitem__)] if is_by_price else None

  def expected(self, problem: Problem) -> int:
    """`evaluations`."""
    del problem
    return self.evaluations

  def _reward(self, problem: Problem, arch: ArchEncoding, top1: float) -> float:
    if self.objective == "accuracy":
      return top1
    return top1 * compressed(problem.price(arch) / problem.price(problem.space.largest))

  def _learned(
    self,
    random: np.random.Generator,
    genes: Genes,
    embedding: Embedding,
    kernels: Kernels,
    known: dict[ArchEncoding, float],
  ) -> Kernels:
    """After a round's steps, each kernel on choices drawn for it."""
    options = np.stack([*map(genes.options, known)])
    measured = np.array(list(known.values()))
    away = measured - measured.mean()
    away = (away / max(float(away.std()), 1e-12)).astype(np.float32)
    # Arrays of one shape compile once.
    count = min(self.subset, -(-len(known) // 2))
    drawn = np.zeros((self.kernels, self.subset), np.int32)
    for row in drawn:
      row[:count] = random.choice(len(known), count, replace=False)
    is_there = np.broadcast_to(np.arange(self.subset) < count, drawn.shape)
    return learned_kernel.learned(
      embedding,
      self.rate,
      self.steps,
      kernels,
      jnp.asarray(options[drawn]),
      jnp.asarray(away[drawn]),
      jnp.asarray(is_there),
    )[0]

  def _next(
    self,
    problem: Problem,
    random: np.random.Generator,
    genes: Genes,
    embedding: Embedding,
    kernels: Kernels,
    known: dict[ArchEncoding, float],
  ) -> list[ArchEncoding]:
    """Of each kernel the best candidate that no other one took."""
    candidates = acquisition.candidates(
      problem, random, known, self.candidates, self.parents, self.mutation
    )
    if not candidates:
      return []
    options = np.stack([*map(genes.options, [*known, *candidates])])
    full = np.zeros(
      (self.evaluations + self.candidates + 1, options.shape[1]), np.int32
    )
    full[: len(options)] = options
    alike, noises = learned_kernel.covariances(embedding, kernels, jnp.asarray(full))
    measured, chosen = np.array(list(known.values())), []
    there, all_ = len(known), len(options)
    for own, noise in zip(np.asarray(alike, np.float64), noises.tolist(), strict=True):
      given = gaussian_process.posterior(own[:there, :there], noise, measured)
      quality = acquisition.expected_improvement(
        *given.predict(own[there:all_, :there]), float(measured.max())
      )
      quality[chosen] = -np.inf
      if len(chosen) < len(candidates):
        chosen.append(int(np.argmax(quality)))
    return [candidates[number] for number in chosen]


def compressed(price: float) -> float:
  """C (2 - C), where C = 1 - price: 1 for nothing, 0 for the largest choice.

  Args:
    price: over that of the largest choice.
  """
  saved = 1.0 - price
  return saved * (2.0 - saved)
