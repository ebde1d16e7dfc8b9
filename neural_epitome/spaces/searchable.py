"""What a search asks of a supernet, whatever its space."""

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self

from neural_epitome.models.base import ModelConfig
from neural_epitome.planning import Planner
from neural_epitome.spaces.description import Description
from neural_epitome.spaces.gate_options import GateOptions

Tree = Any


class Pricing(Protocol):
  """Prices of choices."""

  def of(self, arch: Any) -> dict[str, float]:
    """The price of a choice by metric, see `cost_model.UNITS`."""
    ...


class Searchable(ModelConfig, abc.ABC):
  """A supernet: a network that computes any choice of a space.

  An arm is a frozen dataclass with the fields `space` and, where gates learn beside the
  weights, `gates`.
  """

  space: Any
  gates: ClassVar[Any] = None

  @abc.abstractmethod
  def prices(self, classes: int, channels: int, table: Any = None) -> Pricing:
    """The prices of all choices.

    Args:
      classes: number of classes.
      channels: of the images.
      table: measured latencies, see `latency_table`; None prices none.
    """

  @abc.abstractmethod
  def latency_table(self, path: str, *, anywhere: bool) -> Any:
    """Measured latencies of this space, from a file of --mode=latency_table.

    Raises:
      UserError: if it is none, of another space, or, unless `anywhere`, of another
        machine.
    """

  @abc.abstractmethod
  def with_choice(self, variables: Mapping[str, Tree], arch: Any) -> dict[str, Tree]:
    """Variables with which the supernet computes one choice."""

  @abc.abstractmethod
  def sliced(self, variables: Mapping[str, Tree], arch: Any) -> dict[str, Tree]:
    """Variables of a choice's plain network, cut out of the supernet's."""

  @abc.abstractmethod
  def final(self, arch: Any, classes: int) -> tuple[ModelConfig, Planner]:
    """The plain network that a choice stands for, and how its kernels are stored."""

  @abc.abstractmethod
  def describe(self, arch: Any) -> Description:
    """A choice as people look at it."""

  def warnings(self, metric: str) -> list[str]:
    """Sentences on a budget in this metric that is seldom meant for this space."""
    del metric
    return []

  def in_round(
    self,
    space: Any,
    kept: Sequence[Sequence[int]],
    gates: GateOptions | None,
  ) -> Self:
    """The supernet of a part of the space.

    Args:
      space: the part.
      kept: of every place, options that are not dropped in training.
      gates: how its gates learn, if it has some.
    """
    del kept, gates
    return dataclasses.replace(self, space=space)  # type: ignore[type-var]
