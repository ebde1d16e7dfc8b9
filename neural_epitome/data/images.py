"""From one encoded image to its row of a batch: decoding, augmentation, normalisation.

`signals` offers the same names for signals; `pipeline` chooses between the two.
"""

import dataclasses
import pathlib
from typing import Any

import numpy as np

from neural_epitome.data import cropping, decoding, policies
from neural_epitome.data.bad_examples import too_many
from neural_epitome.data.kept_images import Examples as Examples
from neural_epitome.data.options import DataOptions
from neural_epitome.data.sources import Source
from neural_epitome.errors import FileError, UserError

Batch = dict[str, Any]
# Key of the input in the examples that `Evaluate` returns.
FIELD = "image"


def normalise(images: np.ndarray, options: DataOptions) -> np.ndarray:
  """Normalises uint8 (B, H, W, C) to float32 (value / 255 - mean) / std."""
  channels = images.shape[-1]
  std = np.broadcast_to(np.asarray(options.std, np.float32), channels)
  mean = np.broadcast_to(np.asarray(options.mean, np.float32), channels)
  # A row of factors as long as an image's: short inner axes are slow in NumPy.
  width = images.shape[2]
  scale, offset = np.tile(1 / (255 * std), width), np.tile(-mean / std, width)
  rows = images.reshape(*images.shape[:2], width * channels).astype(np.float32)
  rows *= scale
  rows += offset
  return rows.reshape(images.shape)


def check(options: DataOptions) -> None:
  """Raises UserError if the options contradict each other."""
  augmentation = options.augmentation
  for name in ("mean", "std"):
    if len(getattr(options, name)) not in (1, options.channels):
      raise UserError(
        f"data.{name} has {len(getattr(options, name))} values; give 1 or "
        f"{options.channels}, one a channel."
      )
  if augmentation.minimum_area < 1 and augmentation.padding:
    raise UserError(
      "data.augmentation: minimum_area < 1 and padding are two ways to crop; set one."
    )
  if not 0 < augmentation.minimum_area <= 1:
    raise UserError(
      f"data.augmentation.minimum_area={augmentation.minimum_area} must be in (0, 1]."
    )
  if not 0 < options.crop_fraction <= 1:
    raise UserError(f"data.crop_fraction={options.crop_fraction} must be in (0, 1].")


def load(path: str | pathlib.Path, options: DataOptions) -> np.ndarray:
  """Reads one image file and prepares it exactly as evaluation does.

  Returns:
    float32 (size, size, channels), normalised.

  Raises:
    FileError: if the file cannot be read or is not a whole image.
  """
  try:
    data = pathlib.Path(path).expanduser().read_bytes()
  except OSError as error:
    raise FileError(f"{path} cannot be read: {error.strerror}.") from error
  try:
    image = central_view(data, options)
  except decoding.ImageError as error:
    raise FileError(f"{path} cannot be decoded: {error}.") from error
  return normalise(image[None], options)[0]


def central_view(image: bytes | np.ndarray, options: DataOptions) -> np.ndarray:
  """The image as evaluation sees it: uint8 (size, size, channels).

  Raises:
    ImageError: if the encoded image is truncated or not an image.
  """

  def box(height: int, width: int) -> decoding.Box:
    return cropping.central_box(height, width, options.crop_fraction)

  return decoding.resized_region(image, box, options.image_size, options.channels)


def _unreadable(source: Source, index: int, error: Exception) -> str:
  return f"{source.describe(index)} cannot be decoded: {error}"


@dataclasses.dataclass(frozen=True)
class Augment:
  """Makes the training image of an example: cropped and augmented.

  Attributes:
    source: of the examples. The next one in it takes the place of an example that
      cannot be decoded.
    options: size and channels of the image, and its augmentation.
  """

  source: Source
  options: DataOptions

  def __call__(
    self, example: dict[str, Any], generator: np.random.Generator
  ) -> dict[str, Any]:
    """Makes one image; draws numbers in the order crop, flip, jitter, policy.

    Args:
      example: {"image", "label", "index"}, see `kept_images.Examples`.
      generator: source of randomness.

    Returns:
      {"image": uint8 (size, size, channels), "label": int, "bad": what is wrong with
      the examples that could not be decoded, by their index}.

    Raises:
      UserError: if more examples in a row cannot be decoded than are allowed.
    """
    bad: dict[int, str] = {}
    while True:
      try:
        image = self._cropped(example["image"], generator)
        break
      except decoding.ImageError as error:
        index = example["index"]
        bad[index] = _unreadable(self.source, index, error)
      if len(bad) > (limit := self.options.maximum_bad_examples):
        raise UserError(too_many(bad[index], limit))
      index = (index + 1) % len(self.source)
      example = self.source[index] | {"index": index}
    image = self._altered(image, generator)
    return {"image": image, "label": example["label"], "bad": bad}

  def _cropped(
    self, image: bytes | np.ndarray, generator: np.random.Generator
  ) -> np.ndarray:
    options, augmentation = self.options, self.options.augmentation
    if augmentation.minimum_area == 1:
      return central_view(image, options)

    def box(height: int, width: int) -> decoding.Box:
      return cropping.random_box(generator, height, width, augmentation.minimum_area)

    return decoding.resized_region(image, box, options.image_size, options.channels)

  def _altered(self, image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    augmentation = self.options.augmentation
    if augmentation.padding:
      image = cropping.padded_random_crop(generator, image, augmentation.padding)
    if augmentation.flip and generator.random() < 0.5:
      image = image[:, ::-1]
    if augmentation.color_jitter or augmentation.policy != "none":
      image = np.ascontiguousarray(image)
    if augmentation.color_jitter:
      image = policies.color_jitter(generator, image, augmentation.color_jitter)
    if augmentation.policy == "randaugment":
      count, magnitude = augmentation.policy_operations, augmentation.policy_magnitude
      image = policies.randaugment(generator, image, count, magnitude)
    elif augmentation.policy == "autoaugment":
      image = policies.autoaugment(generator, image)
    return image


@dataclasses.dataclass(frozen=True)
class Evaluate:
  """Makes the image that evaluation sees from the position of an example.

  Attributes:
    source: of the examples.
    options: size and channels of the image.
  """

  source: Source
  options: DataOptions

  def __call__(self, position: int) -> dict[str, Any]:
    """Makes one image.

    Args:
      position: index of the example; from the number of examples on, it is padding.

    Returns:
      {"image": uint8 (size, size, channels), "label": int, "mask": 1.0, or 0.0 for
      padding and for an example that cannot be decoded, whose images are zeros,
      "bad": as of `Augment`}.
    """
    options = self.options
    if position >= len(self.source):
      return self._nothing({})
    example = self.source[position]
    image = example["image"]
    if not isinstance(image, bytes):
      image = decoding.convert_channels(image, options.channels)
    try:
      image = central_view(image, options)
    except decoding.ImageError as error:
      return self._nothing({position: _unreadable(self.source, position, error)})
    return {"image": image, "label": example["label"], "mask": 1.0, "bad": {}}

  def _nothing(self, bad: dict[int, str]) -> dict[str, Any]:
    options = self.options
    shape = (options.image_size, options.image_size, options.channels)
    return {"image": np.zeros(shape, np.uint8), "label": 0, "mask": 0.0, "bad": bad}


@dataclasses.dataclass(frozen=True)
class Collate:
  """Makes a batch of the results of `Augment` or `Evaluate`: stacked, normalised."""

  options: DataOptions

  def __call__(self, examples: list[dict[str, Any]]) -> Batch:
    """Stacks examples in order.

    Returns:
      {"image": float32 (B, size, size, channels), "label": int32 (B,), "bad"}, and
      "mask", float32 (B,), if the examples have one.
    """
    images = normalise(np.stack([e["image"] for e in examples]), self.options)
    labels = np.array([e["label"] for e in examples], np.int32)
    batch = {"image": images, "label": labels}
    if "mask" in examples[0]:
      batch["mask"] = np.array([e["mask"] for e in examples], np.float32)
      # Padding is zero as the network sees it, not a black image.
      images[batch["mask"] == 0] = 0
    return batch | {
      "bad": {k: fault for e in examples for k, fault in e["bad"].items()}
    }
