"""Planners, one file each; importing one here registers it."""

from neural_epitome.planning.base import Planner
from neural_epitome.planning.budget import BudgetPlanner
from neural_epitome.planning.chosen import ChosenPlanner
from neural_epitome.planning.dense import DensePlanner
from neural_epitome.planning.rate import RatePlanner

__all__ = [
  "BudgetPlanner",
  "ChosenPlanner",
  "DensePlanner",
  "Planner",
  "RatePlanner",
]
