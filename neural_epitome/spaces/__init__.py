"""Search spaces: their architectures, supernets, slices and prices."""

from neural_epitome.spaces.elastic_planner import ElasticPlanner
from neural_epitome.spaces.multi_branch_supernet import MultiBranchSupernetConfig
from neural_epitome.spaces.supernet import SupernetConfig

__all__ = ["ElasticPlanner", "MultiBranchSupernetConfig", "SupernetConfig"]
