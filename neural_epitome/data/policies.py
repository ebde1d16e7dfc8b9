"""Augmentation of one training image: jitter, RandAugment, AutoAugment.

Every function is pure: what it does follows from the image and the generator.
"""

from collections.abc import Callable

import numpy as np

from neural_epitome.data import operations as ops

# The magnitude of both policies runs from 0 to 10.
_FULL = 10.0
_SIGNED_GEOMETRY: dict[str, tuple[Callable, float]] = {
  "ShearX": (ops.shear_x, 0.3),
  "ShearY": (ops.shear_y, 0.3),
  # 150 pixels of the 331 that AutoAugment was searched at.
  "TranslateX": (ops.translate_x, 150 / 331),
  "TranslateY": (ops.translate_y, 150 / 331),
  "Rotate": (ops.rotate, 30.0),
}
_SIGNED_ENHANCEMENT: dict[str, Callable] = {
  "Color": ops.color,
  "Contrast": ops.contrast,
  "Brightness": ops.brightness,
  "Sharpness": ops.sharpness,
}
_PLAIN: dict[str, Callable] = {
  "AutoContrast": ops.autocontrast,
  "Equalize": ops.equalize,
  "Invert": ops.invert,
}

RANDAUGMENT_OPERATIONS = (
  "Identity",
  "AutoContrast",
  "Equalize",
  "Rotate",
  "Solarize",
  "Color",
  "Posterize",
  "Contrast",
  "Brightness",
  "Sharpness",
  "ShearX",
  "ShearY",
  "TranslateX",
  "TranslateY",
)

# Cubuk et al., AutoAugment, 2019, table 9: the policy found on ImageNet. Each
# line is two times (operation, probability, magnitude).
AUTOAUGMENT_IMAGENET = (
  (("Posterize", 0.4, 8), ("Rotate", 0.6, 9)),
  (("Solarize", 0.6, 5), ("AutoContrast", 0.6, 5)),
  (("Equalize", 0.8, 8), ("Equalize", 0.6, 3)),
  (("Posterize", 0.6, 7), ("Posterize", 0.6, 6)),
  (("Equalize", 0.4, 7), ("Solarize", 0.2, 4)),
  (("Equalize", 0.4, 4), ("Rotate", 0.8, 8)),
  (("Solarize", 0.6, 3), ("Equalize", 0.6, 7)),
  (("Posterize", 0.8, 5), ("Equalize", 1.0, 2)),
  (("Rotate", 0.2, 3), ("Solarize", 0.6, 8)),
  (("Equalize", 0.6, 8), ("Posterize", 0.4, 6)),
  (("Rotate", 0.8, 8), ("Color", 0.4, 0)),
  (("Rotate", 0.4, 9), ("Equalize", 0.6, 2)),
  (("Equalize", 0.0, 7), ("Equalize", 0.8, 8)),
  (("Invert", 0.6, 4), ("Equalize", 1.0, 8)),
  (("Color", 0.6, 4), ("Contrast", 1.0, 8)),
  (("Rotate", 0.8, 8), ("Color", 1.0, 2)),
  (("Color", 0.8, 8), ("Solarize", 0.8, 7)),
  (("Sharpness", 0.4, 7), ("Invert", 0.6, 8)),
  (("ShearX", 0.6, 5), ("Equalize", 1.0, 9)),
  (("Color", 0.4, 0), ("Equalize", 0.6, 3)),
  (("Equalize", 0.4, 7), ("Solarize", 0.2, 4)),
  (("Solarize", 0.6, 5), ("AutoContrast", 0.6, 5)),
  (("Invert", 0.6, 4), ("Equalize", 1.0, 8)),
  (("Color", 0.6, 4), ("Contrast", 1.0, 8)),
  (("Equalize", 0.8, 8), ("Equalize", 0.6, 3)),
)


def apply(
  name: str, image: np.ndarray, magnitude: float, sign: float = 1.0
) -> np.ndarray:
  """Applies one operation of the policies.

  Args:
    name: as the papers call it.
    image: uint8 (H, W, C).
    magnitude: from 0 to 10; more is stronger, for every operation.
    sign: +1 or -1, the direction of those operations that have one.
  """
  strength = magnitude / _FULL
  if name in _SIGNED_GEOMETRY:
    operation, greatest = _SIGNED_GEOMETRY[name]
    return operation(image, sign * strength * greatest)
  if name in _SIGNED_ENHANCEMENT:
    return _SIGNED_ENHANCEMENT[name](image, 1 + sign * 0.9 * strength)
  if name in _PLAIN:
    return _PLAIN[name](image)
  if name == "Solarize":
    return ops.solarize(image, 256 * (1 - strength))
  if name == "Posterize":
    return ops.posterize(image, 8 - round(4 * strength))
  return image


def randaugment(
  generator: np.random.Generator, image: np.ndarray, count: int, magnitude: float
) -> np.ndarray:
  """RandAugment (Cubuk et al., 2020): `count` random operations of one strength."""
  chosen = generator.integers(0, len(RANDAUGMENT_OPERATIONS), count)
  signs = 2 * generator.integers(0, 2, count) - 1
  for which, sign in zip(chosen.tolist(), signs.tolist(), strict=True):
    image = apply(RANDAUGMENT_OPERATIONS[which], image, magnitude, sign)
  return image


def autoaugment(generator: np.random.Generator, image: np.ndarray) -> np.ndarray:
  """AutoAugment (Cubuk et al., 2019): one of 25 pairs of operations, at random."""
  pair = AUTOAUGMENT_IMAGENET[int(generator.integers(len(AUTOAUGMENT_IMAGENET)))]
  happens, signs = generator.random(2).tolist(), generator.integers(0, 2, 2).tolist()
  for (name, probability, magnitude), draw, sign in zip(
    pair, happens, signs, strict=True
  ):
    if draw < probability:
      image = apply(name, image, magnitude, 2 * sign - 1)
  return image


def color_jitter(
  generator: np.random.Generator, image: np.ndarray, strength: float
) -> np.ndarray:
  """Brightness, contrast and saturation, in random order.

  Each factor is uniform in [max(0, 1 - strength), 1 + strength].
  """
  steps = (ops.brightness, ops.contrast, ops.color)
  factors = generator.uniform(max(0.0, 1 - strength), 1 + strength, len(steps))
  for which in generator.permutation(len(steps)).tolist():
    image = steps[which](image, float(factors[which]))
  return image
