"""What happens to one signal, and to the batch that it becomes part of.

`images` offers the same names for images; `pipeline` chooses between the two.
"""

import dataclasses
import math
import pathlib
from typing import Any

import numpy as np

from neural_epitome.data import audio
from neural_epitome.data.images import Batch
from neural_epitome.data.options import SignalOptions
from neural_epitome.data.sources import Source
from neural_epitome.errors import UserError

# What `Evaluate` calls the input.
FIELD = "signal"


def check(options: SignalOptions) -> None:
  """Raises UserError if an option is out of range."""
  augmentation = options.augmentation
  for name in ("length", "channels"):
    if getattr(options, name) < 1:
      raise UserError(f"data.{name}={getattr(options, name)} must be at least 1.")
  for name in ("shift", "speed", "gain", "noise"):
    if not 0 <= getattr(augmentation, name) < math.inf:
      value = getattr(augmentation, name)
      raise UserError(f"data.augmentation.{name}={value} must be 0 or above.")
  if augmentation.shift > 1:
    raise UserError(f"data.augmentation.shift={augmentation.shift} must be 1 at most.")


def load(path: str | pathlib.Path, options: SignalOptions) -> np.ndarray:
  """Reads one sound file and prepares it exactly as evaluation does.

  Returns:
    float32 (length, channels), normalised.

  Raises:
    UserError: if the file is absent or no sound, or the network does not take sound.
  """
  if options.sample_rate is None or options.channels != 1:
    raise UserError(
      f"{path}: a network for {options.dataset} takes no sound files "
      f"(config.data.sample_rate={options.sample_rate}, channels={options.channels})."
    )
  try:
    sound = audio.read(path, options.sample_rate)
  except audio.AudioError as error:
    raise UserError(f"{path} cannot be read as sound: {error}.") from error
  return view(sound[:, None], options)


def view(signal: np.ndarray, options: SignalOptions) -> np.ndarray:
  """The signal as evaluation sees it.

  Args:
    signal: int16 or float32 (samples, channels).
    options: the form of the network's input.

  Returns:
    float32 (length, channels), cut or among zeros, normalised.
  """
  signal = as_float(signal)
  return normalise(place(signal, options.length, anchor(signal, options)), options)


def as_float(signal: np.ndarray) -> np.ndarray:
  """Takes int16 to float32 fractions of full scale, other types to float32."""
  scale = np.float32(1 / 32768) if signal.dtype == np.int16 else np.float32(1)
  return signal.astype(np.float32) * scale


def anchor(signal: np.ndarray, options: SignalOptions) -> int:
  """The sample of `signal` that evaluation puts first; negative in a shorter one."""
  return 0 if options.anchor == "start" else (len(signal) - options.length) // 2


def place(signal: np.ndarray, length: int, start: int) -> np.ndarray:
  """Samples [start, start + length) of `signal`, zero where there are none."""
  placed = np.zeros((length, signal.shape[1]), signal.dtype)
  begin, end = max(0, start), min(len(signal), start + length)
  if begin < end:
    placed[begin - start : end - start] = signal[begin:end]
  return placed


def normalise(signal: np.ndarray, options: SignalOptions) -> np.ndarray:
  """Divides by the peak or the root mean square; silence stays as it is."""
  if options.normalisation == "none":
    return signal
  if options.normalisation == "peak":
    level = float(np.max(np.abs(signal)))
  else:
    level = rms(signal)
  return signal / np.float32(level) if level > 0 else signal


def rms(signal: np.ndarray) -> float:
  """Root mean square of the samples that are not zero."""
  sounding = np.count_nonzero(signal)
  energy = float(np.sum(np.square(signal, dtype=np.float64)))
  return math.sqrt(energy / sounding) if sounding else 0.0


def change_speed(signal: np.ndarray, factor: float) -> np.ndarray:
  """Resamples (samples, channels) linearly to 1 / factor of its length."""
  count = max(1, round(len(signal) / factor))
  places = np.arange(count, dtype=np.float64) * factor
  known = np.arange(len(signal), dtype=np.float64)
  columns = [np.interp(places, known, column) for column in signal.T]
  return np.stack(columns, -1).astype(np.float32)


class Examples:
  """A source with its index beside each example, kept in memory while it fits."""

  def __init__(self, source: Source, options: SignalOptions):
    self._source, self._budget = source, options.cache_megabytes << 20
    self._kept: dict[int, Any] = {}

  def __len__(self) -> int:
    return len(self._source)

  def __getstate__(self) -> dict[str, Any]:
    return self.__dict__ | {"_kept": {}}

  def __getitem__(self, index: int) -> dict[str, Any]:
    example = self._kept.get(index)
    if example is None:
      example = dict(self._source[index], index=index)
      # Threads may race here; at worst they keep a signal more or count one twice.
      if example["signal"].nbytes <= self._budget:
        self._budget -= example["signal"].nbytes
        self._kept[index] = example
    return example


@dataclasses.dataclass(frozen=True)
class Augment:
  """An example to the signal that training sees: float32 (length, channels)."""

  source: Source
  options: SignalOptions

  def __call__(
    self, example: dict[str, Any], generator: np.random.Generator
  ) -> dict[str, Any]:
    """Draws in a fixed order: speed, crop, shift, flip, gain, noise."""
    options, augmentation = self.options, self.options.augmentation
    signal, length = as_float(_checked(self.source, example, options)), options.length
    if augmentation.speed:
      bound = math.log1p(augmentation.speed)
      signal = change_speed(signal, math.exp(generator.uniform(-bound, bound)))
    if augmentation.random_crop:
      spare = len(signal) - length
      start = int(generator.integers(min(0, spare), max(0, spare) + 1))
    else:
      start = anchor(signal, options)
    if augmentation.shift:
      bound = round(augmentation.shift * length)
      start += int(generator.integers(-bound, bound + 1))
    signal = normalise(place(signal, length, start), options)
    if augmentation.flip and generator.random() < 0.5:
      signal = -signal
    if augmentation.gain:
      decibels = generator.uniform(-augmentation.gain, augmentation.gain)
      signal = signal * np.float32(10 ** (decibels / 20))
    if augmentation.noise:
      level = np.float32(generator.uniform(0, augmentation.noise) * rms(signal))
      noise = generator.standard_normal(signal.shape, dtype=np.float32)
      signal = signal + level * noise
    return {"signal": signal, "label": example["label"]}


@dataclasses.dataclass(frozen=True)
class Evaluate:
  """A position to the signal that evaluation sees; zeros past the last example."""

  source: Source
  options: SignalOptions

  def __call__(self, position: int) -> dict[str, Any]:
    """Adds a mask: 1 for an example, 0 for padding."""
    if position >= len(self.source):
      zeros = np.zeros(self.options.input_shape, np.float32)
      return {"signal": zeros, "label": 0, "mask": 0.0}
    example = self.source[position] | {"index": position}
    signal = view(_checked(self.source, example, self.options), self.options)
    return {"signal": signal, "label": example["label"], "mask": 1.0}


@dataclasses.dataclass(frozen=True)
class Collate:
  """Examples to a batch; the network's input goes by the name `image` in it."""

  options: SignalOptions

  def __call__(self, examples: list[dict[str, Any]]) -> Batch:
    """Stacks in order."""
    batch = {
      "image": np.stack([e["signal"] for e in examples]),
      "label": np.array([e["label"] for e in examples], np.int32),
    }
    if "mask" in examples[0]:
      batch["mask"] = np.array([e["mask"] for e in examples], np.float32)
    return batch


def _checked(
  source: Source, example: dict[str, Any], options: SignalOptions
) -> np.ndarray:
  signal = example["signal"]
  if signal.shape[1] != options.channels:
    raise UserError(
      f"{source.describe(example['index'])} has {signal.shape[1]} channels, not "
      f"config.data.channels={options.channels}."
    )
  return signal
