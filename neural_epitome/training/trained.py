"""A trained network, wherever it was loaded from."""

import dataclasses
from typing import Any

from flax import linen as nn

from neural_epitome.config import Config
from neural_epitome.epitome.plan import Plan


@dataclasses.dataclass(frozen=True)
class Trained:
  """A trained network, as `load` returns it.

  Attributes:
    model: `model.apply(variables, images, train=False)` gives logits for images
      (batch, height, width, channels), normalised as config.data says.
    variables: params, batch_stats and routing.
    plan: how its kernels are generated.
    config: the experiment.
    classes: class names, by label.
    step: training step of the checkpoint.
    weights: `raw` or `ema`: which of the run's weights the variables are.
  """

  model: nn.Module
  variables: dict[str, Any]
  plan: Plan
  config: Config
  classes: tuple[str, ...]
  step: int
  weights: str
