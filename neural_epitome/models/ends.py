"""What stands before the blocks of a network, and behind them."""

from neural_epitome.models.base import CLASSIFIER
from neural_epitome.models.block import Block
from neural_epitome.models.layer_specs import Activation, Channels, ConvSpec


def stem(
  inputs: int,
  features: int,
  strides: int,
  *,
  kernel_size: int = 3,
  activation: Activation = "relu6",
) -> ConvSpec:
  """The first convolution, of images with `inputs` channels."""
  return ConvSpec(
    "stem",
    Channels("image", inputs),
    Channels("stem", features),
    (kernel_size,) * 2,
    strides,
    norm="stem_norm",
    activation=activation,
  )


def head(
  inputs: int, features: int, classes: int, *, activation: Activation = "relu6"
) -> Block:
  """A 1x1 convolution and the classifier, between which the features are pooled.

  They are declared as a block whose hidden channels are the head's `features`.
  """
  read, outputs = Channels("inputs", inputs), Channels("classes", classes)
  hidden = Channels("hidden", features, shrinks=True)
  layers = (
    ConvSpec("head", read, hidden, norm="head_norm", activation=activation),
    ConvSpec(CLASSIFIER, hidden, outputs, kernel_size=(), use_bias=True),
  )
  return Block(read, outputs, layers)
