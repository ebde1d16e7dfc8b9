"""The images of a source, kept decoded in memory if all of them fit."""

from typing import Any

import numpy as np

from neural_epitome.data import decoding
from neural_epitome.data.options import DataOptions
from neural_epitome.data.sources import Source

# Pictures looked at to tell how large those of a source are.
_SAMPLES = 16


class Examples:
  """A source that adds the "index" to each example and may keep images decoded.

  If the decoded images of the whole source fit in `options.cache_megabytes`, examples
  hold pixels, uint8 (H, W, channels), which are kept once decoded; otherwise they hold
  encoded bytes. The choice changes pixels, since a decoder shrinks a JPEG in another
  way than OpenCV does; so it depends on the data set alone, not on what is in memory.
  """

  def __init__(self, source: Source, options: DataOptions):
    self._source, self._channels = source, options.channels
    self._budget = options.cache_megabytes << 20
    self._decodes = _decoded_bytes(source, options.channels) <= self._budget
    self._kept: dict[int, Any] = {}

  def __len__(self) -> int:
    return len(self._source)

  def __getstate__(self) -> dict[str, Any]:
    return self.__dict__ | {"_kept": {}}

  def __getitem__(self, index: int) -> dict[str, Any]:
    example = self._kept.get(index)
    if example is not None:
      return example
    example = dict(self._source[index], index=index)
    if self._decodes:
      try:
        example["image"] = _decoded(example["image"], self._channels)
      except decoding.ImageError:
        return example  # `Augment` meets the error too and puts another in its place
      # Threads may race here; at worst they keep an image more or count one twice.
      if example["image"].nbytes <= self._budget:
        self._budget -= example["image"].nbytes
        self._kept[index] = example
    return example


def _decoded_bytes(source: Source, channels: int) -> float:
  """An estimate of what all images take decoded, from a few of them."""
  count = len(source)
  sizes = []
  for sample in range(min(_SAMPLES, count)):
    image = source[sample * count // min(_SAMPLES, count)]["image"]
    try:
      shape = decoding.size_of(image) if isinstance(image, bytes) else image.shape[:2]
    except decoding.ImageError:
      continue  # whoever reads it for real names it
    sizes.append(int(np.prod(shape)) * channels)
  return float(np.mean(sizes)) * count if sizes else float("inf")


def _decoded(image: bytes | np.ndarray, channels: int) -> np.ndarray:
  if isinstance(image, bytes):
    return decoding.decode(image, channels)
  return decoding.convert_channels(image, channels)
