"""A policy that reads a graph: convolutions over it, and an option for each slot.

That of NAT (Guo et al., NeurIPS 2019, arXiv 1910.14488): embeddings of the operations,
two graph convolutions (Kipf and Welling, arXiv 1609.02907) and a linear map to the
logits. Over the edges alone, a node would not see its own operations, and a node whose
parents are inputs would see nothing: loops A + I mend that, and `loops=False` leaves
them out, as the released code does.

What may not be chosen has probability 0: the mask of the rule, and that of the prices.
Slots are drawn in order, and an option is barred if it costs more than the slots before
have saved. So nothing that is drawn is dearer than what was given.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp

from neural_epitome.domains import Count
from neural_epitome.spaces.graph_state import GraphState

# Of what is barred: its probability is exactly 0, and no product with it is NaN.
_NEVER = -1e30


@dataclasses.dataclass(frozen=True)
class GraphPolicy:
  """Sizes of the networks, and whether nodes see themselves.

  Attributes:
    embedding: numbers a token.
    features: numbers a node, before the convolutions.
    hidden: after each of them.
    loops: convolutions are means over a node and its parents; sums over its parents
      alone if False.
  """

  embedding: Count = 32
  features: Count = 128
  hidden: Count = 64
  loops: bool = True

  def init(
    self, key: jax.Array, tokens: int, slots: int, outputs: int
  ) -> dict[str, jax.Array]:
    """Parameters by which all allowed options are equally likely.

    Args:
      key: of the random numbers.
      tokens: number of different tokens.
      slots: of a node.
      outputs: logits of a slot.

    Returns:
      float32 arrays by name.
    """
    keys = jax.random.split(key, 4)
    shapes = {
      "lift": (slots * self.embedding, self.features),
      "first": (self.features, self.hidden),
      "second": (self.hidden, self.hidden),
    }
    params = {"tokens": jax.random.normal(keys[0], (tokens, self.embedding))}
    for own, (name, shape) in zip(keys[1:], shapes.items(), strict=True):
      params[name] = jax.random.normal(own, shape) / math.sqrt(shape[0])
      params[f"{name}_bias"] = jnp.zeros(shape[1])
    params["head"] = jnp.zeros((self.hidden, slots * outputs))
    params["head_bias"] = jnp.zeros(slots * outputs)
    return params

  def logits(self, params: Any, state: GraphState) -> jax.Array:
    """Of every option of every slot, before any mask: float32 (S, n)."""
    nodes, slots = state.tokens.shape
    edges = jnp.asarray(state.adjacency)
    if self.loops:
      edges = edges + jnp.eye(nodes)
      edges = edges / jnp.sum(edges, axis=1, keepdims=True)
    embedded = params["tokens"][jnp.asarray(state.tokens)].reshape(nodes, -1)

    def linear(name: str, x: jax.Array) -> jax.Array:
      return x @ params[name] + params[f"{name}_bias"][None]

    lifted = linear("lift", embedded)
    first = jax.nn.relu(linear("first", edges @ lifted))
    second = linear("second", edges @ first)
    outputs = linear("head", second).reshape(nodes * slots, -1)
    return jnp.take_along_axis(outputs, jnp.asarray(state.heads), axis=1)

  def draw(
    self, params: Any, key: jax.Array, state: GraphState, greedy: bool = False
  ) -> jax.Array:
    """Draws an option for each slot: int32 (S,).

    Args:
      params: of the policy.
      key: of the random numbers.
      state: without axes of a batch.
      greedy: take the most likely option that is left, slot by slot.
    """
    logits = self.logits(params, state)
    slots = logits.shape[0]
    noise = jnp.zeros_like(logits) if greedy else jax.random.gumbel(key, logits.shape)

    def step(spent: jax.Array, slot: jax.Array) -> tuple[jax.Array, jax.Array]:
      increments = jnp.asarray(state.increments)[slot]
      allowed = jnp.asarray(state.allowed)[slot] & _affordable(spent[None], increments)
      option = jnp.argmax(jnp.where(allowed, (logits + noise)[slot], -jnp.inf))
      return spent + increments[option], option.astype(jnp.int32)

    start = jnp.zeros(state.increments.shape[-1], jnp.int32)
    order = jnp.asarray(state.order)
    _, options = jax.lax.scan(step, start, order)
    return jnp.zeros(slots, jnp.int32).at[order].set(options)

  def score(
    self, params: Any, state: GraphState, options: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """Log-probability and entropy, differentiable in the parameters.

    Args:
      params: of the policy.
      state: without axes of a batch.
      options: int32 (S,), drawn of it.

    Returns:
      The logarithm of the probability of the options, in nats, and the entropy: the sum
      over slots, each given what was drawn before. Its expectation is the entropy of
      the whole distribution.
    """
    logits, order = self.logits(params, state), jnp.asarray(state.order)
    chosen = options[order]
    increments = jnp.asarray(state.increments)[order]
    own = jnp.take_along_axis(increments, chosen[:, None, None], axis=1)[:, 0]
    spent = jnp.cumsum(own, axis=0) - own
    allowed = jnp.asarray(state.allowed)[order] & _affordable(
      spent[:, None], increments
    )
    logs = jax.nn.log_softmax(jnp.where(allowed, logits[order], _NEVER))
    probability = jnp.take_along_axis(logs, chosen[:, None], axis=1)
    return jnp.sum(probability), -jnp.sum(jnp.exp(logs) * logs)


def _affordable(spent: jax.Array, increments: jax.Array) -> jax.Array:
  """Whether nothing is dearer after each option, given what was spent before."""
  return jnp.all(spent + increments <= 0, axis=-1)
