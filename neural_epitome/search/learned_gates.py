"""The gates that were learned beside a supernet: choices are drawn from them."""

from typing import Any

import jax
import numpy as np

Tree = Any


class LearnedGates:
  """Gates after their training: choices are drawn from them; see `strategies.Learned`.

  Attributes:
    numbers: of every cell the operations that had gates.
    probability: of each to be on, 0 of those that were dropped.
    history: the same at times during training, the last one last.
  """

  def __init__(self, space: Any, policy: Tree):
    """Of a round's space and the collection `policy` of its variables."""
    self._space, slots = space, space.slots
    history = np.asarray(jax.device_get(policy["history"]), float)
    self.history = history[history[:, 0, 0] >= 0]
    active = np.asarray(jax.device_get(policy["active"]))
    # The last step's are those of the state.
    own = np.where(active & slots.exists, self.history[-1], 0.0)
    self.numbers = [
      row[exists].tolist()
      for row, exists in zip(slots.numbers, slots.exists, strict=True)
    ]
    self.probability = np.zeros(space.usable.shape)
    for cell, (row, exists) in enumerate(zip(own, slots.exists, strict=True)):
      self.probability[cell, self.numbers[cell]] = row[exists]

  def sample(self, seed: int, *stream: int, count: int) -> list[Any]:
    """See `strategies.Learned`."""
    return self._space.drawn(self.probability, seed, *stream, count=count)

  def to_json(self) -> dict[str, Any]:
    """What gates.json holds: `operations` of every cell, and `history` of their gates.

    A probability of 0 is an operation that was dropped.
    """
    exists = self._space.slots.exists
    history = [
      [np.round(row[own], 4).tolist() for row, own in zip(now, exists, strict=True)]
      for now in self.history
    ]
    return {"operations": self.numbers, "history": history}
