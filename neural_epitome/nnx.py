"""The layers for Flax NNX: `ne.nnx.EpitomeConv` stands where `nnx.Conv` stood."""

from neural_epitome.epitome.nnx_layers import EpitomeConv, EpitomeLinear, Routing

__all__ = ["EpitomeConv", "EpitomeLinear", "Routing"]
