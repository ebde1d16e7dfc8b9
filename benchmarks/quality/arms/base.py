"""What an arm is given and what it answers."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
from flax import traverse_util

from benchmarks.quality.networks import Network, dense_model, inventory_of
from neural_epitome.cost import totals
from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome.plan import Plan

Tree = Any


@dataclasses.dataclass(frozen=True)
class Teacher:
  """A trained dense network.

  Attributes:
    network: which.
    variables: its parameters and statistics.
    examples: gives training images without labels, uint8, of the arms that look at
      some.
  """

  network: Network
  variables: Tree
  examples: Callable[[], jax.Array] | None = None

  @property
  def model(self) -> Any:
    """The module of the dense network."""
    return dense_model(self.network.config)

  @property
  def inventory(self) -> Inventory:
    """Every kernel of the dense network."""
    return inventory_of(self.network.config)

  def budget(self, size: int) -> int:
    """Bytes that an arm of this size may store, of everything in the network."""
    return 4 * self.inventory.size // size


@dataclasses.dataclass(frozen=True)
class Start:
  """A small network before it is trained, if it is.

  Attributes:
    model: hashable, with an `apply(variables, images, train=..., mutable=...)` that
      answers as a Linen module's, from numbers rounded as they ship.
    variables: {"params", "batch_stats", ...}; `params` alone are trained.
    stored_bytes: of all that ships: tensors, indices, factors, biases and norms.
    finish: of the variables after the last epoch, such as rounding what training left
      between two codes; the test is of what it returns.
    between: of the variables after every epoch but the last, such as places that no
      gradient moves.
  """

  model: Any
  variables: Tree
  stored_bytes: int
  finish: Callable[[Tree], Tree] = lambda variables: variables
  between: Callable[[Tree], Tree] = lambda variables: variables


# From the teacher, the size and the seed.
Arm = Callable[[Teacher, int, int], Start]


def stored_bytes(plan: Plan, inventory: Inventory) -> int:
  """Bytes of all that ships: tensors in the plan's bits, scales, biases and norms."""
  return totals.price(plan, inventory).stored_bytes


@dataclasses.dataclass(frozen=True, eq=False)
class Expanded:
  """The dense network whose parameters are made of fewer numbers, as a model.

  Attributes:
    model: of the dense network.
    expand: a pure function from what is stored to the parameters.
  """

  model: Any
  expand: Callable[[Tree], Tree]

  def apply(self, variables: Tree, *args: Any, **options: Any) -> Any:
    """As of the dense network, with what is stored for its parameters."""
    full = {**variables, "params": self.expand(variables["params"])}
    return self.model.apply(full, *args, **options)


def flat(params: Tree) -> dict[str, jax.Array]:
  """Arrays by their path, joined by `/`."""
  return dict(traverse_util.flatten_dict(params, sep="/"))


def nested(arrays: Mapping[str, jax.Array]) -> Tree:
  """The inverse of `flat`."""
  return traverse_util.unflatten_dict(dict(arrays), sep="/")
