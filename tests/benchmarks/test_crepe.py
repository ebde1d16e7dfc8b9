"""The pitch network of the benchmark, and its tones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from benchmarks import common
from benchmarks.compress import crepe_network as network


def test_the_convolution_by_fft_is_the_convolution():
  random = np.random.default_rng(0)
  inputs = random.normal(size=(3, 32, 5)).astype(np.float32)
  kernel = random.normal(size=(64, 5, 7)).astype(np.float32)
  direct = lax.conv_general_dilated(
    inputs, kernel, (1,), [(31, 32)], dimension_numbers=("NWC", "WIO", "NWC")
  )
  by_fft = jax.jit(network.convolution)(jnp.asarray(inputs), jnp.asarray(kernel))
  np.testing.assert_allclose(by_fft, direct, atol=2e-4)


def test_tones_are_the_same_for_a_seed_and_have_the_pitch_that_is_said():
  sound, pitch = network.tones(5, 16)
  again, _ = network.tones(5, 16)
  np.testing.assert_array_equal(sound, again)
  np.testing.assert_allclose(sound.mean(1), 0, atol=1e-5)
  assert np.all((pitch >= 70) & (pitch <= 1000))
  # All of the energy but the noise lies on multiples of the pitch.
  time = np.arange(network.FRAME) / network.SAMPLE_RATE
  for row, hertz in zip(sound, pitch, strict=True):
    harmonics = hertz * np.arange(1, 11)
    harmonics = harmonics[harmonics < network.SAMPLE_RATE / 2]
    angles = 2 * np.pi * harmonics * time[:, None]
    waves = np.concatenate([np.sin(angles), np.cos(angles), np.ones((1024, 1))], 1)
    left = row - waves @ np.linalg.lstsq(waves, row)[0]
    assert np.mean(left**2) < 0.1


@pytest.mark.parametrize("hertz", [73.0, 440.0, 990.0])
def test_a_pitch_is_read_between_the_classes(hertz):
  classes = (1200 * np.log2(hertz / 10) - network._CENTS[0]) / 20
  says = np.exp(-((np.arange(360) - classes) ** 2) / 3) * 0.99 + 1e-9
  [read] = network.pitches(np.log(says / (1 - says))[None])
  assert abs(1200 * np.log2(read / hertz)) < 2


def test_the_csv_names_no_place_of_a_machine(monkeypatch):
  flags = ["--weights", "/home/me/tiny.pth", "--nnc=/opt/python", "--tones=8"]
  monkeypatch.setattr("sys.argv", ["/somewhere/benchmark.py", *flags])
  command = common.circumstances()["command"]
  assert command == "python -m benchmark --weights FILE --nnc=FILE --tones=8"
