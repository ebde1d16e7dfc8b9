"""The width at which a dense network stores a given number of parameters."""

import dataclasses
import functools
from typing import Any

from neural_epitome import models
from neural_epitome.cost import inventory as inventories
from neural_epitome.cost.inventory import Inventory
from neural_epitome.errors import UserError
from neural_epitome.models import ModelConfig

# The fewest channels that a layer of a width-scaled network may have.
NARROWEST = 8


def match_width(
  config: ModelConfig, parameters: int, classes: int, input_shape: tuple[int, ...]
) -> ModelConfig:
  """Scales an architecture's width until its dense network has so many parameters.

  Channels are rounded to multiples of the configuration's own `divisor` if that
  will do, and else of its halves, down to single channels. Where no width comes
  within 1%, the next wider network loses up to a fifth of its last hidden channels
  (of the head, or the last block).

  Args:
    config: an architecture with a `width`; its other fields stay.
    parameters: numbers stored in all, biases and batch norm included.
    classes: number of classes.
    input_shape: (*space, channels) of the input.

  Returns:
    The architecture with another `width`, `divisor` and `inner` where it has them.

  Raises:
    UserError: if it has no width, no width will do, or one does only with fewer than
      8 channels in a layer; it names the layer.
  """
  fields = {field.name for field in dataclasses.fields(config)}
  if "width" not in fields:
    raise UserError(f"A {config.kind} has no width to scale.")
  take = functools.cache(
    lambda scaled: inventories.take(models.create(scaled, classes), input_shape)
  )
  divisors = [getattr(config, "divisor", 1)]
  while "divisor" in fields and divisors[-1] > 1:
    divisors.append(divisors[-1] // 2)
  refusal = ""
  for divisor in divisors:
    rounding = {"divisor": divisor} if "divisor" in fields else {}
    scaled = _nearest(dataclasses.replace(config, **rounding), parameters, take)
    sized = take(scaled)
    # The classifier's outputs are classes.
    path, channels = min(
      ((use.path, use.shape[-1]) for use in sized.kernels[:-1]),
      key=lambda item: item[1],
    )
    is_close = abs(sized.size - parameters) <= 0.01 * parameters
    if is_close and channels >= NARROWEST:
      return scaled
    # The first that is close says best what is wrong.
    if is_close or not refusal:
      refusal = (
        f"width cannot store {config.kind} in {parameters:,} parameters: width "
        f"{scaled.width:.3f} stores {sized.size:,} with {channels} channels at {path}, "
        f"where {NARROWEST} are the fewest."
      )
    if is_close:
      break
  raise UserError(refusal)


def _nearest(config: Any, parameters: int, take: Any) -> Any:
  """The best of a few widths: sizes grow with it, about as its square, in steps."""

  def at(width: float) -> Any:
    return dataclasses.replace(config, width=round(width, 6))

  def size(width: float) -> int:
    sized: Inventory = take(at(width))
    return sized.size

  def is_close(width: float) -> bool:
    return abs(size(width) - parameters) <= 0.005 * parameters

  low, high = 0.0, max(1.0, config.width)
  while size(high) < parameters:
    low, high = high, 2 * high
  root, tried = parameters**0.5, [high]
  for turn in range(10):
    # Every other time the middle, where steps mislead the interpolation.
    share = 0.5
    if turn % 2 == 0:
      below = size(low) ** 0.5 if low else 0.0
      share = (root - below) / max(1e-9, size(high) ** 0.5 - below)
    width = low + (high - low) * min(0.95, max(0.05, share))
    tried.append(width)
    if is_close(width):
      break
    if size(width) < parameters:
      low = width
    else:
      high = width
  best = min(tried, key=lambda width: abs(size(width) - parameters))
  if abs(size(best) - parameters) <= 0.01 * parameters:
    return at(best)
  return _trimmed(at(high), parameters, take) or at(best)


def _trimmed(config: Any, parameters: int, take: Any) -> Any:
  """The network with fewer channels in its last group; None if that is too many."""
  try:
    group = config.channel_groups()[-1]
  except UserError:
    return None
  sized: Inventory = take(config)
  channels = next(use.shape[-2] for use in sized.kernels if use.path == group.consumer)
  # All that a channel stores is its own, so sizes go down evenly.
  one_less = take(config.narrowed({group.name: channels - 1})).size
  out = round((sized.size - parameters) / (sized.size - one_less))
  if out > channels // 5:
    return None
  return config.narrowed({group.name: channels - out})
