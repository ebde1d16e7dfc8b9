"""Sound files to samples: WAV, FLAC, AIFF and whatever else libsndfile reads."""

import math
import pathlib

import numpy as np

from neural_epitome import packages


class AudioError(ValueError):
  """Raised for a file that is not a whole sound; the caller adds the file's name."""


def read(path: str | pathlib.Path, sample_rate: int) -> np.ndarray:
  """Reads a sound file as one channel at a sample rate.

  Channels are averaged. Resampling is polyphase with SciPy's default filter (a
  Kaiser window, beta 5).

  Args:
    path: the file.
    sample_rate: of the result, Hz.

  Returns:
    float32 (samples,), fractions of full scale.

  Raises:
    AudioError: if the file is absent, empty, not sound, truncated within its header,
      or holds samples that are not finite.
    UserError: if soundfile is not installed.
  """
  soundfile = packages.needed("soundfile", "audio", "Reading sound")
  try:
    samples, found_rate = soundfile.read(
      str(pathlib.Path(path).expanduser()), dtype="float32", always_2d=True
    )
  except (soundfile.SoundFileError, OSError, ValueError) as error:
    raise AudioError(str(error).strip().rstrip(".")) from error
  if not samples.size:
    raise AudioError("it holds no samples")
  mono = samples.mean(axis=1, dtype=np.float32)
  if not np.isfinite(mono).all():
    raise AudioError("it holds samples that are not finite")
  return resample(mono, found_rate, sample_rate)


def resample(samples: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
  """Resamples float32 (samples,) from one rate to another, Hz."""
  if from_rate == to_rate:
    return samples
  from scipy import signal as processing  # two seconds, which images need not wait

  common = math.gcd(from_rate, to_rate)
  resampled = processing.resample_poly(samples, to_rate // common, from_rate // common)
  return resampled.astype(np.float32)


def to_int16(samples: np.ndarray) -> np.ndarray:
  """Scales float (samples,) to a peak of 32767 and rounds it to int16; silence is 0."""
  peak = float(np.max(np.abs(samples), initial=0.0))
  scale = 32767 / peak if peak > 0 else 0.0
  return np.round(samples * scale).astype(np.int16)
