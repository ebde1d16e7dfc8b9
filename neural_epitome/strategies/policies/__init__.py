"""Distributions over architectures, one file each, and how they learn.

Importing one here registers it.
"""

from neural_epitome.strategies.policies.base import Policy
from neural_epitome.strategies.policies.categorical import Categorical
from neural_epitome.strategies.policies.gates import Gates

__all__ = ["Categorical", "Gates", "Policy"]
