"""NAT: one policy that changes any architecture into a better one that is no dearer.

Guo et al., NAT: Neural Architecture Transformer (NeurIPS 2019, arXiv 1910.14488) and
its successor NAT++ (TPAMI 2021, arXiv 2102.10301). The policy reads an architecture and
says what each operation becomes. It learns on random architectures, by REINFORCE: the
reward is by how much the change is more accurate, with weights that both share. That
nothing gets dearer is no part of the reward: what would be is never drawn (see
`policies.graph_policy`).

    learned = nat.learn(Nat(), editor, evaluate, steps=200, seed=0)
    nat.transform(Nat(), learned, editor, given, evaluate).found

Everything is a function of the seed, the number of the step and the answers of
`evaluate`; so a state that was saved goes on as if it had not been.
"""

import dataclasses
import functools
from collections.abc import Callable, Generator, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from neural_epitome.domains import Count
from neural_epitome.spaces.graph_state import Editor, GraphState, stack
from neural_epitome.strategies.policies import policy_gradient
from neural_epitome.strategies.policies.graph_policy import GraphPolicy
from neural_epitome.strategies.policies.policy_gradient import PolicyGradient, State

# The value of each architecture, the more the better; those of one call compare.
Evaluate = Callable[[Sequence[Any]], Sequence[float]]


@dataclasses.dataclass(frozen=True)
class Nat:
  """How the policy looks, and how it learns.

  The paper takes one change of one architecture a step, and a moving mean of the
  advantages as baseline, which is half of what it should be. Several changes of an
  architecture tell each other what to expect.

  Attributes:
    policy: see there.
    learning: how it learns; its gradient is the plain one.
    given: random architectures a step.
    drawn: changes of each of them.
    baseline: what a reward is compared with: that of the `others` of the same
      architecture, or the `moving` mean of all rewards.
  """

  policy: GraphPolicy = GraphPolicy()
  learning: PolicyGradient = PolicyGradient(learning_rate=0.001, entropy=0.03)
  given: Count = 8
  drawn: Count = 8
  baseline: Literal["others", "moving"] = "others"


def start(nat: Nat, editor: Editor, seed: int) -> State:
  """The state before the first step, in which all allowed changes are as likely."""
  params = nat.policy.init(
    jax.random.key(seed), editor.tokens, editor.slots, editor.outputs
  )
  return policy_gradient.start_from(params, nat.learning)


@functools.partial(jax.jit, static_argnums=(0, 4))
def draw(
  policy: GraphPolicy, params: Any, key: jax.Array, states: GraphState, count: int
) -> jax.Array:
  """Draws changes.

  Args:
    policy: reads the states.
    params: of the policy.
    key: of the random numbers.
    states: of G architectures with P parts each, (G, P, ...).
    count: changes of each.

  Returns:
    int32 (G, count, P, S).
  """
  given, parts = states.tokens.shape[:2]
  keys = jax.random.split(key, (given, count, parts))
  one = functools.partial(policy.draw, params)
  of_parts = jax.vmap(one)
  of_changes = jax.vmap(of_parts, (0, None))
  return jax.vmap(of_changes)(keys, states)


@functools.partial(jax.jit, static_argnums=0)
def likeliest(policy: GraphPolicy, params: Any, states: GraphState) -> jax.Array:
  """The most likely change of each architecture, slot by slot: int32 (G, P, S)."""
  key = jax.random.key(0)

  def one(state: GraphState) -> jax.Array:
    return policy.draw(params, key, state, greedy=True)

  return jax.vmap(jax.vmap(one))(states)


def _scores(
  policy: GraphPolicy, params: Any, states: GraphState, options: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Log-probability and entropy of every change, (G, count) each, of all parts."""
  one = functools.partial(policy.score, params)
  of_changes = jax.vmap(jax.vmap(one), (None, 0))
  logs, entropies = jax.vmap(of_changes)(states, options)
  return jnp.sum(logs, axis=-1), jnp.sum(entropies, axis=-1)


@functools.partial(jax.jit, static_argnums=0)
def update(
  nat: Nat, state: State, states: GraphState, options: jax.Array, rewards: jax.Array
) -> State:
  """One step of REINFORCE; a pure function.

  Args:
    nat: how it learns.
    state: before.
    states: (G, P, ...).
    options: int32 (G, count, P, S), drawn of the policy.
    rewards: float32 (G, count), by how much each change is better.
  """
  count, expected = rewards.shape[1], None
  if nat.baseline == "others" and count > 1:
    others = jnp.sum(rewards, axis=1, keepdims=True) - rewards
    expected = jnp.ravel(others / (count - 1))
  advantages, told = policy_gradient.judged(
    state, jnp.ravel(rewards), nat.learning.decay, expected
  )

  def loss(params: Any) -> jax.Array:
    logs, entropies = _scores(nat.policy, params, states, options)
    expected = jnp.mean(advantages * jnp.ravel(logs))
    return -expected - nat.learning.entropy * jnp.mean(entropies)

  gradient = jax.grad(loss)(state.params)
  return policy_gradient.advance(nat.learning, told, gradient)


# Architectures to be measured, and their values.
Questions = Generator[list[Any], Sequence[float], State]


def questions(
  nat: Nat,
  editor: Editor,
  steps: int,
  seed: int,
  state: State | None = None,
  done: Callable[[State, float], None] | None = None,
) -> Questions:
  """Learns on random architectures; a generator that asks for values.

  Args:
    nat: how.
    editor: the family of architectures.
    steps: at which it ends.
    seed: of all that is drawn.
    state: goes on from there; from the start if None.
    done: is given the state and the mean reward after each step.

  Yields:
    The architectures of a step: the random ones, then all changes of them.

  Returns:
    The state after the last step.
  """
  current: State = start(nat, editor, seed) if state is None else state
  for number in range(int(current.step), steps):
    random = np.random.default_rng((seed, number))
    given = [editor.draw(random) for _ in range(nat.given)]
    states = stack([editor.state(one) for one in given])
    key = jax.random.fold_in(jax.random.key(seed), number)
    options = draw(nat.policy, current.params, key, states, nat.drawn)
    changes = [
      editor.changed(one, own)
      for one, of_one in zip(given, np.asarray(options), strict=True)
      for own in of_one
    ]
    values = np.asarray((yield [*given, *changes]), np.float32)
    before, after = values[: len(given)], values[len(given) :]
    rewards = after.reshape(nat.given, nat.drawn) - before[:, None]
    current = update(nat, current, states, options, jnp.asarray(rewards))
    if done is not None:
      done(current, float(rewards.mean()))
  return current


def learn(
  nat: Nat,
  editor: Editor,
  evaluate: Evaluate,
  steps: int,
  seed: int,
  state: State | None = None,
  done: Callable[[State, float], None] | None = None,
) -> State:
  """As `questions`, which `evaluate` answers.

  The architectures of a step are one call, so that a change is compared with what it is
  a change of on the same images.
  """
  asking = questions(nat, editor, steps, seed, state, done)
  try:
    batch = next(asking)
    while True:
      batch = asking.send(evaluate(batch))
  except StopIteration as stop:
    return stop.value


def offers(
  nat: Nat, state: State, editor: Editor, given: Any, count: int, seed: int
) -> tuple[Any, ...]:
  """Draws so many changes of an architecture; see `transform`."""
  states = stack([editor.state(given)])
  drawn = draw(nat.policy, state.params, jax.random.key(seed), states, count)
  return tuple(editor.changed(given, own) for own in np.asarray(drawn)[0])


@dataclasses.dataclass(frozen=True)
class Transformed:
  """What came of an architecture.

  Attributes:
    given: what it was.
    found: the best change, or what was given if none is better.
    before: value of `given`.
    after: value of `found`.
    changes: all that were measured.
    values: theirs.
  """

  given: Any
  found: Any
  before: float
  after: float
  changes: tuple[Any, ...]
  values: tuple[float, ...]


def transform(
  nat: Nat,
  state: State,
  editor: Editor,
  given: Any,
  evaluate: Evaluate,
  count: int = 10,
  seed: int = 0,
) -> Transformed:
  """Draws changes of an architecture, and takes the best of them.

  Args:
    nat: whose policy.
    state: of `learn`; that of `start` draws allowed changes evenly.
    editor: the family of architectures.
    given: one of them.
    evaluate: measures `given` and all changes, in one call.
    count: changes, 10 in the paper.
    seed: of what is drawn.
  """
  changes = offers(nat, state, editor, given, count, seed)
  before, *values = map(float, evaluate([given, *changes]))
  best = int(np.argmax(values))
  if values[best] <= before:
    return Transformed(given, given, before, before, changes, tuple(values))
  return Transformed(given, changes[best], before, values[best], changes, tuple(values))
