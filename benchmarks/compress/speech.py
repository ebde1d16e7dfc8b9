"""Spoken sentences between pauses, in noise: where there is speech is known.

The voices are those of eSpeak NG, from the package `espeakng-loader`
(`pip install --no-deps espeakng-loader`): made by rule, of several languages, speeds
and pitches. The truth of a piece of 32 ms is whether the voice is on in it, before
noise is added; pieces near a change are left out, since a detector may be early or
late by design. Voices flutter at random: sounds are the same within a process, and
differ a little from one to the next.
"""

import ctypes
import functools
import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from neural_epitome.errors import UserError

SAMPLE_RATE = 16_000
PIECE = 512
_SENTENCES = (
  "The boat came back to the harbour before the storm.",
  "Would you bring me another cup of tea, please?",
  "Seven children were playing in the garden.",
  "He never told anybody what he had seen that night.",
  "The train to the north leaves from platform four.",
  "It takes about an hour if the road is dry.",
  "Our neighbour sold his old car last week.",
  "A good answer often begins with a better question.",
)
_VOICES = ("en+m1", "en+f2", "en+m3", "en+f4", "de+m2", "fr+f1", "es+m5", "it+f3")
_SPEEDS, _PITCHES = (120, 220), (25, 75)
_SYNCHRONOUS, _UTF8 = 2, 1
_RATE, _PITCH = 1, 3
_PAUSE = (0.6, 2.0)  # s
_SNR = (5.0, 20.0)  # dB
_LOUDNESS = (0.02, 0.2)  # root mean square of speech
_SECONDS = 12.0
# The voice is on where it is no more than this below its mean level.
_QUIETEST = -25.0  # dB
# Pieces on each side of a change that are left out.
_NEAR = 6


class Speech(NamedTuple):
  """Sounds and what is in them.

  Attributes:
    sound: float32 (N, pieces * PIECE).
    is_spoken: (N, pieces), whether there is speech.
    counts: (N, pieces), whether a piece is clear enough to be counted.
  """

  sound: np.ndarray
  is_spoken: np.ndarray
  counts: np.ndarray


@functools.cache
def speech(seed: int, count: int) -> Speech:
  """So many sounds of twelve seconds.

  Raises:
    UserError: if `espeakng-loader` is not installed.
  """
  random = np.random.default_rng(seed)
  pieces = int(_SECONDS * SAMPLE_RATE) // PIECE
  clean = np.zeros((count, pieces * PIECE), np.float32)
  for row in clean:
    voice = _VOICES[random.integers(len(_VOICES))]
    at = int(random.uniform(*_PAUSE) * SAMPLE_RATE)
    while at < len(row):
      said = _said(
        _SENTENCES[random.integers(len(_SENTENCES))],
        voice,
        int(random.integers(*_SPEEDS)),
        int(random.integers(*_PITCHES)),
      )[: len(row) - at]
      row[at : at + len(said)] = said
      at += len(said) + int(random.uniform(*_PAUSE) * SAMPLE_RATE)
    spoken = np.sqrt(np.mean(np.square(row[row != 0])))
    row *= np.exp(random.uniform(*np.log(_LOUDNESS))) / spoken
  levels = np.sqrt(np.mean(clean.reshape(count, pieces, PIECE) ** 2, -1))
  mean = np.sqrt(np.mean(clean**2, -1, keepdims=True))
  is_spoken = levels > mean * 10 ** (_QUIETEST / 20)
  noise = random.normal(size=clean.shape) * mean
  snr = random.uniform(*_SNR, (count, 1))
  sound = clean + noise * 10 ** (-snr / 20)
  counts = np.ones_like(is_spoken)
  for shift in range(-_NEAR, _NEAR + 1):
    counts &= np.roll(is_spoken, shift, 1) == is_spoken
  counts[:, : _NEAR + 1] = counts[:, -_NEAR - 1 :] = False
  return Speech(sound.astype(np.float32), is_spoken, counts)


@functools.cache
def _library() -> tuple[Any, int]:
  """The synthesiser, ready, and its sample rate."""
  spec = importlib.util.find_spec("espeakng_loader")
  if spec is None or spec.origin is None:
    raise UserError("Speech needs: pip install --no-deps espeakng-loader.")
  folder = Path(spec.origin).parent
  library = ctypes.CDLL(str(folder / "libespeak-ng.so"))
  data = str(folder / "espeak-ng-data").encode()
  rate = library.espeak_Initialize(_SYNCHRONOUS, 0, data, 0)
  if rate <= 0:
    raise UserError(f"{folder}: eSpeak NG does not start.")
  return library, rate


@functools.lru_cache(maxsize=512)
def _said(text: str, voice: str, speed: int, pitch: int) -> np.ndarray:
  """A sentence at `SAMPLE_RATE`, without the silence around it."""
  library, rate = _library()
  parts: list[np.ndarray] = []
  kind = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
  )

  def hear(wave: Any, count: int, _: Any) -> int:
    if count:
      parts.append(np.ctypeslib.as_array(wave, (count,)).copy())
    return 0

  callback = kind(hear)
  library.espeak_SetSynthCallback(callback)
  library.espeak_SetVoiceByName(voice.encode())
  library.espeak_SetParameter(_RATE, speed, 0)
  library.espeak_SetParameter(_PITCH, pitch, 0)
  words = text.encode()
  library.espeak_Synth(words, len(words) + 1, 0, 0, 0, _UTF8, None, None)
  wave = np.concatenate(parts).astype(np.float64) / 2**15
  loud = np.flatnonzero(np.abs(wave) > 1e-3)
  wave = wave[loud[0] : loud[-1] + 1]
  return _resampled(wave, rate)


def _resampled(wave: np.ndarray, rate: int) -> np.ndarray:
  """At `SAMPLE_RATE`, without what lies above half of it, by its spectrum."""
  size = round(len(wave) * SAMPLE_RATE / rate)
  spectrum = np.fft.rfft(wave)[: size // 2 + 1]
  return np.fft.irfft(spectrum, size) * size / len(wave)
