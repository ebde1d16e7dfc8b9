"""Options of which the first is more likely, whatever is measured."""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp

from neural_epitome.strategies.policies import Categorical


@dataclasses.dataclass(frozen=True)
class Leaning(Categorical):
  """Starts from logits that fall with the number of the option."""

  kind: ClassVar[str] = "leaning"

  by: float = 1.0

  def init(self, counts):
    """See `Policy.init`."""
    logits = super().init(counts)["logits"]
    return {"logits": logits - self.by * jnp.arange(max(counts))[None]}
