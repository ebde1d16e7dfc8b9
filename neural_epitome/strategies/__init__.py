"""Search strategies, one file each; importing one here registers it."""

from neural_epitome.strategies.amc import Amc
from neural_epitome.strategies.base import (
  Learned,
  Problem,
  Questions,
  Round,
  Strategy,
)
from neural_epitome.strategies.bayesian import Bayesian
from neural_epitome.strategies.ddpnas import DistributionPruning
from neural_epitome.strategies.esnac import Esnac
from neural_epitome.strategies.evolution import Evolution
from neural_epitome.strategies.flash import Flash
from neural_epitome.strategies.fp_nas import FpNas
from neural_epitome.strategies.genetic import Genetic
from neural_epitome.strategies.given import Given
from neural_epitome.strategies.hurricane import Hurricane
from neural_epitome.strategies.mnasnet import MnasNet
from neural_epitome.strategies.nat_search import NatSearch
from neural_epitome.strategies.netadapt import NetAdapt
from neural_epitome.strategies.nse import NSE
from neural_epitome.strategies.progressive import Progressive
from neural_epitome.strategies.random_search import RandomSearch
from neural_epitome.strategies.reinforce import Reinforce
from neural_epitome.strategies.subset_evolution import SubsetEvolution

__all__ = [
  "NSE",
  "Amc",
  "Bayesian",
  "DistributionPruning",
  "Esnac",
  "Evolution",
  "Flash",
  "FpNas",
  "Genetic",
  "Given",
  "Hurricane",
  "Learned",
  "MnasNet",
  "NatSearch",
  "NetAdapt",
  "Problem",
  "Progressive",
  "Questions",
  "RandomSearch",
  "Reinforce",
  "Round",
  "Strategy",
  "SubsetEvolution",
]
