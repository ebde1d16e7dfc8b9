"""From one signal to its row of a batch: cropping, augmentation, normalisation.

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
from neural_epitome.errors import FileError, UserError

# Key of the input in the examples that `Evaluate` returns.
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
    FileError: if the file cannot be read as sound.
    UserError: if the network takes no sound.
  """
  if options.sample_rate is None or options.channels != 1:
    raise UserError(
      f"{path}: a network for {options.dataset} takes no sound files "
      f"(config.data.sample_rate={options.sample_rate}, channels={options.channels})."
    )
  try:
    sound = audio.read(path, options.sample_rate)
  except audio.AudioError as error:
    raise FileError(f"{path} cannot be read as sound: {error}.") from error
  return view(sound[:, None], options)


def view(signal: np.ndarray, options: SignalOptions) -> np.ndarray:
  """The signal as evaluation sees it.

  Args:
    signal: int16 or float32 (samples, channels).
    options: the form of the network's input.

  Returns:
    float32 (length, channels): cut or padded with zeros, then normalised.
  """
  signal = as_float(signal)
  return normalise(place(signal, options.length, anchor(signal, options)), options)


def as_float(signal: np.ndarray) -> np.ndarray:
  """Converts int16 to float32 fractions of full scale, other types to float32."""
  scale = np.float32(1 / 32768) if signal.dtype == np.int16 else np.float32(1)
  return signal.astype(np.float32) * scale


def anchor(signal: np.ndarray, options: SignalOptions) -> int:
  """Index of the first sample that evaluation takes; negative in a shorter signal."""
  return 0 if options.anchor == "start" else (len(signal) - options.length) // 2


def place(signal: np.ndarray, length: int, start: int) -> np.ndarray:
  """Samples [start, start + length) of (samples, channels), zeros outside of it."""
  placed = np.zeros((length, signal.shape[1]), signal.dtype)
  begin, end = max(0, start), min(len(signal), start + length)
  if begin < end:
    placed[begin - start : end - start] = signal[begin:end]
  return placed


def normalise(signal: np.ndarray, options: SignalOptions) -> np.ndarray:
  """Divides (samples, channels) by its peak or root mean square; silence stays zero."""
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
  """Resamples (samples, channels) linearly to float32 of 1 / factor its length."""
  count = max(1, round(len(signal) / factor))
  places = np.arange(count, dtype=np.float64) * factor
  known = np.arange(len(signal), dtype=np.float64)
  columns = [np.interp(places, known, column) for column in signal.T]
  return np.stack(columns, -1).astype(np.float32)


class Examples:
  """A source that adds the "index" to each example, and keeps as many as fit."""

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
  """Makes the training signal of an example: cropped, augmented, normalised.

  Attributes:
    source: of the examples, to name one in an error.
    options: form of the signal, and its augmentation.
  """

  source: Source
  options: SignalOptions

  def __call__(
    self, example: dict[str, Any], generator: np.random.Generator
  ) -> dict[str, Any]:
    """Makes one signal; draws speed, crop, shift, flip, gain and noise in this order.

    Args:
      example: {"signal": int16 or float32 (samples, channels), "label", "index"}.
      generator: source of randomness.

    Returns:
      {"signal": float32 (length, channels), "label": int}.

    Raises:
      UserError: if the example has another number of channels.
    """
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
  """Makes the signal that evaluation sees from the position of an example.

  Attributes:
    source: of the examples.
    options: form of the signal.
  """

  source: Source
  options: SignalOptions

  def __call__(self, position: int) -> dict[str, Any]:
    """Makes one signal.

    Args:
      position: index of the example; from the number of examples on, it is padding.

    Returns:
      {"signal": float32 (length, channels), zeros for padding, "label": int, "mask":
      1.0, or 0.0 for padding}.

    Raises:
      UserError: if the example has another number of channels.
    """
    if position >= len(self.source):
      zeros = np.zeros(self.options.input_shape, np.float32)
      return {"signal": zeros, "label": 0, "mask": 0.0}
    example = self.source[position] | {"index": position}
    signal = view(_checked(self.source, example, self.options), self.options)
    return {"signal": signal, "label": example["label"], "mask": 1.0}


@dataclasses.dataclass(frozen=True)
class Collate:
  """Makes a batch of the results of `Augment` or `Evaluate`."""

  options: SignalOptions

  def __call__(self, examples: list[dict[str, Any]]) -> Batch:
    """Stacks examples in order.

    Returns:
      {"image": float32 (B, length, channels), "label": int32 (B,)}, and "mask", float32
      (B,), if the examples have one. The network's input is "image" for signals too.
    """
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
