"""Which part of a picture the network sees: random in training, else central."""

import math

import numpy as np

from neural_epitome.data.decoding import Box

_ATTEMPTS = 10
_ASPECT_RATIOS = (3 / 4, 4 / 3)


def random_box(
  generator: np.random.Generator, height: int, width: int, minimum_area: float
) -> Box:
  """A box of random area, aspect ratio (3/4 to 4/3) and place.

  The crop of Szegedy et al., Going Deeper with Convolutions, 2015, section 6: ten
  attempts, then the largest central box of an allowed aspect ratio.

  Args:
    generator: source of randomness.
    height: of the picture, pixels.
    width: of the picture, pixels.
    minimum_area: smallest share of the picture's area; the largest is 1.

  Returns:
    (top, left, height, width) of the box, pixels.
  """
  low, high = map(math.log, _ASPECT_RATIOS)
  # One draw of fixed size: what follows does not depend on the picture's shape.
  for area, ratio, down, along in generator.random((_ATTEMPTS, 4)).tolist():
    area = (minimum_area + area * (1 - minimum_area)) * height * width
    ratio = math.exp(low + ratio * (high - low))
    box_width = round(math.sqrt(area * ratio))
    box_height = round(math.sqrt(area / ratio))
    if 0 < box_width <= width and 0 < box_height <= height:
      top = int(down * (height - box_height + 1))
      left = int(along * (width - box_width + 1))
      return top, left, box_height, box_width
  box_width = min(width, max(1, round(height * _ASPECT_RATIOS[1])))
  box_height = min(height, max(1, round(width / _ASPECT_RATIOS[0])))
  top, left = (height - box_height) // 2, (width - box_width) // 2
  return top, left, box_height, box_width


def central_box(height: int, width: int, fraction: float) -> Box:
  """The central square whose side is `fraction` of the picture's short side.

  Cutting it out and resizing it to the network's input is the same as resizing the
  short side to input / fraction and cutting the centre, but decodes fewer pixels.

  Returns:
    (top, left, height, width) of the box, pixels.
  """
  side = max(1, round(min(height, width) * fraction))
  return (height - side) // 2, (width - side) // 2, side, side


def padded_random_crop(
  generator: np.random.Generator, image: np.ndarray, padding: int
) -> np.ndarray:
  """Pads (H, W, C) with zeros on all sides and cuts a random (H, W, C) out of it."""
  height, width = image.shape[:2]
  top, left = generator.integers(0, 2 * padding + 1, 2)
  padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)))
  return padded[top : top + height, left : left + width]
