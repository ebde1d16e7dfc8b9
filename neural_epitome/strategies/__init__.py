"""Search strategies, one file each; importing one here registers it."""

from neural_epitome.strategies.base import (
  Learned,
  Problem,
  Questions,
  Round,
  Strategy,
)
from neural_epitome.strategies.evolution import Evolution
from neural_epitome.strategies.given import Given
from neural_epitome.strategies.netadapt import NetAdapt
from neural_epitome.strategies.nse import NSE
from neural_epitome.strategies.random_search import RandomSearch
from neural_epitome.strategies.reinforce import Reinforce
from neural_epitome.strategies.subset_evolution import SubsetEvolution

__all__ = [
  "NSE",
  "Evolution",
  "Given",
  "Learned",
  "NetAdapt",
  "Problem",
  "Questions",
  "RandomSearch",
  "Reinforce",
  "Round",
  "Strategy",
  "SubsetEvolution",
]
