"""Sound files become one channel at one rate, or are told apart from sound."""

import sys

import numpy as np
import pytest

from neural_epitome.data import audio
from neural_epitome.errors import UserError

soundfile = pytest.importorskip("soundfile")


def _tone(rate: int, hertz: float = 440.0, seconds: float = 0.5) -> np.ndarray:
  return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)


@pytest.mark.parametrize(
  ("suffix", "subtype"),
  [("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "FLOAT"), ("flac", "PCM_16")],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_channels_are_averaged_whatever_the_form(tmp_path, suffix, subtype, channels):
  path = tmp_path / f"tone.{suffix}"
  tone = _tone(16000)
  sides = np.stack([tone, 0.5 * tone][:channels], -1)
  soundfile.write(path, sides, 16000, subtype=subtype)
  samples = audio.read(path, 16000)
  assert samples.dtype == np.float32
  np.testing.assert_allclose(samples, sides.mean(1), atol=1e-4)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_a_tone_keeps_its_pitch_and_level_at_another_rate(tmp_path, rate):
  path = tmp_path / "tone.wav"
  soundfile.write(path, _tone(rate), rate)
  samples, expected = audio.read(path, 16000), _tone(16000)
  assert abs(len(samples) - len(expected)) <= 1
  middle = slice(1000, 7000)
  np.testing.assert_allclose(samples[middle], expected[middle], atol=5e-3)


def test_what_the_new_rate_cannot_hold_is_gone(tmp_path):
  path = tmp_path / "tone.wav"
  soundfile.write(path, _tone(48000, hertz=11000.0), 48000)
  assert np.abs(audio.read(path, 16000)[1000:7000]).max() < 0.01


@pytest.mark.parametrize("content", [b"", b"no sound at all", b"RIFF\0\0\0\0WAVEfmt "])
def test_what_is_no_sound_is_an_audio_error(tmp_path, content):
  path = tmp_path / "broken.wav"
  path.write_bytes(content)
  with pytest.raises(audio.AudioError):
    audio.read(path, 16000)


def test_absent_empty_and_infinite_sounds_are_audio_errors(tmp_path):
  with pytest.raises(audio.AudioError):
    audio.read(tmp_path / "absent.wav", 16000)
  soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16000)
  with pytest.raises(audio.AudioError, match="no samples"):
    audio.read(tmp_path / "empty.wav", 16000)
  soundfile.write(tmp_path / "nan.wav", np.full(9, np.nan), 16000, subtype="FLOAT")
  with pytest.raises(audio.AudioError, match="not finite"):
    audio.read(tmp_path / "nan.wav", 16000)


def test_without_soundfile_the_command_that_installs_it_is_told(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, "soundfile", None)
  with pytest.raises(UserError, match=r"sound needs soundfile: pip install soundfile$"):
    audio.read(tmp_path / "any.wav", 16000)


def test_sixteen_bits_are_used_in_full_and_silence_stays_silent():
  samples = np.float32([0.0, 0.01, -0.02])
  np.testing.assert_array_equal(audio.to_int16(samples), [0, 16384, -32767])
  np.testing.assert_array_equal(audio.to_int16(np.zeros(3, np.float32)), [0, 0, 0])
