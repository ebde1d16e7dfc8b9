"""Search strategies, one file each; importing one here registers it."""

from neural_epitome.strategies.base import (
  Problem,
  Questions,
  Rehearsal,
  Round,
  Strategy,
)
from neural_epitome.strategies.evolution import Evolution
from neural_epitome.strategies.given import Given
from neural_epitome.strategies.nat_search import NatSearch
from neural_epitome.strategies.netadapt import NetAdapt
from neural_epitome.strategies.random_search import RandomSearch
from neural_epitome.strategies.reinforce import Reinforce
from neural_epitome.strategies.subset_evolution import SubsetEvolution

__all__ = [
  "Evolution",
  "Given",
  "NatSearch",
  "NetAdapt",
  "Problem",
  "Questions",
  "RandomSearch",
  "Rehearsal",
  "Reinforce",
  "Round",
  "Strategy",
  "SubsetEvolution",
]
