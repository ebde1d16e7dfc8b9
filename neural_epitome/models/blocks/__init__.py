"""Kinds of blocks, one file each; importing one here registers it."""

from neural_epitome.models.blocks.basic import Basic
from neural_epitome.models.blocks.bottleneck import Bottleneck
from neural_epitome.models.blocks.branch import Branch
from neural_epitome.models.blocks.inverted_residual import InvertedResidual

__all__ = ["Basic", "Bottleneck", "Branch", "InvertedResidual"]
