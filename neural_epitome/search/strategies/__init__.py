"""Search strategies, one file each; importing one here registers it."""

from neural_epitome.search.strategies.base import Problem, Questions, Strategy
from neural_epitome.search.strategies.evolution import Evolution
from neural_epitome.search.strategies.given import Given
from neural_epitome.search.strategies.netadapt import NetAdapt
from neural_epitome.search.strategies.random_search import RandomSearch

__all__ = [
  "Evolution",
  "Given",
  "NetAdapt",
  "Problem",
  "Questions",
  "RandomSearch",
  "Strategy",
]
