"""Evaluation examples on a page: images small, signals as their envelope."""

import dataclasses
import html
import io
import pathlib
import wave
from collections.abc import Sequence
from typing import Any

import numpy as np

from neural_epitome.report import markup

# Pixels of the longer side; larger images are scaled down to it.
THUMBNAIL = 256
# Up to so many pixels an image is shown pixel by pixel.
PIXELATED = 64
# Files that `save` writes.
EXAMPLES = ("example.png", "example.wav")
# Columns of a signal's envelope.
COLUMNS = 120

STYLE = """
.gallery { display: grid; gap: .6rem .4rem;
           grid-template-columns: repeat(auto-fill, minmax(5rem, 1fr)); }
.gallery.large { grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); }
.gallery figure { margin: 0; font-size: .75rem; line-height: 1.3; }
.gallery img { width: 100%; aspect-ratio: 1; object-fit: contain; background: #eef1f4;
               image-rendering: pixelated; border-radius: 3px; }
.gallery img.photo { image-rendering: auto; }
.gallery svg { width: 100%; background: #eef1f4; border-radius: 3px; display: block; }
.gallery .right { color: var(--blue); } .gallery .wrong { color: var(--red); }
"""


@dataclasses.dataclass(frozen=True)
class Example:
  """An evaluation example and what the network says it is.

  Attributes:
    label: its class.
    predicted: the most probable class.
    confidence: the probability of that class.
    content: an image, uint8 (height, width, channels), or a signal, float32
      (samples, channels), as evaluation sees it, images before normalisation.
  """

  label: str
  predicted: str
  confidence: float
  content: np.ndarray


def gallery(examples: Sequence[Example]) -> str:
  """Examples in a grid, each with its prediction, and its label where that differs."""
  is_large = any(e.content.ndim < 3 or _is_photo(e.content) for e in examples)
  kind = "gallery large" if is_large else "gallery"
  return f'<div class="{kind}">{"".join(map(_figure, examples))}</div>'


def _figure(example: Example) -> str:
  predicted, label = html.escape(example.predicted), html.escape(example.label)
  is_right = example.predicted == example.label
  caption = f'<span class="{"right" if is_right else "wrong"}">{predicted}</span> '
  caption += f'<span class="pale">{example.confidence:.0%}</span>'
  if not is_right:
    caption += f'<br><span class="pale">is {label}</span>'
  if example.content.ndim == 3:
    shown = thumbnail(example.content, example.label)
  else:
    shown = envelope(example.content)
  return f"<figure>{shown}<figcaption>{caption}</figcaption></figure>"


def thumbnail(image: np.ndarray, alt: str) -> str:
  """A uint8 image (height, width, channels) inside the page, small."""
  picture = _pillow(image)
  stream = io.BytesIO()
  if not _is_photo(image):
    picture.save(stream, "PNG", optimize=True)
    return markup.picture(stream.getvalue(), "png", alt)
  picture.thumbnail((THUMBNAIL, THUMBNAIL))
  picture.save(stream, "WEBP", quality=75)
  shown = markup.picture(stream.getvalue(), "webp", alt)
  return shown.replace("<img ", '<img class="photo" ', 1)


def _is_photo(image: np.ndarray) -> bool:
  """Whether an image is large enough to be scaled smoothly."""
  return max(image.shape[:2]) > PIXELATED


def envelope(signal: np.ndarray) -> str:
  """The extremes of a signal (samples, channels) over time, as SVG, a row a channel."""
  samples, channels = signal.shape
  columns = min(COLUMNS, samples)
  edges = np.linspace(0, samples, columns + 1).astype(int)[:-1]
  high = np.maximum.reduceat(signal, edges, axis=0)
  low = np.minimum.reduceat(signal, edges, axis=0)
  scale = 0.46 * 40 / max(float(np.max(np.abs(signal), initial=0.0)), 1e-9)
  shapes = []
  for channel in range(channels):
    middle = 40 * channel + 20
    points = [*enumerate(high[:, channel])]
    points += reversed([*enumerate(low[:, channel])])
    corners = " ".join(f"{x},{middle - scale * y:.1f}" for x, y in points)
    shapes.append(f'<polygon points="{corners}" fill="#1f5fa8" stroke="#1f5fa8"/>')
  box = f"0 0 {columns - 1} {40 * channels}"
  return f'<svg viewBox="{box}" role="img">{"".join(shapes)}</svg>'


def save(
  directory: pathlib.Path, content: np.ndarray, sample_rate: int | None
) -> pathlib.Path | None:
  """Writes an example as a file that --mode=predict reads.

  Args:
    directory: made where it is not.
    content: see `Example`.
    sample_rate: of a sound, Hz; None for a signal that is none.

  Returns:
    example.png or example.wav; None for a signal that is no sound of one channel.
  """
  if content.ndim == 3:
    path = directory / EXAMPLES[0]
    directory.mkdir(parents=True, exist_ok=True)
    _pillow(content).save(path)
    return path
  if sample_rate is None or content.shape[1] != 1:
    return None
  path = directory / EXAMPLES[1]
  directory.mkdir(parents=True, exist_ok=True)
  loudest = max(1.0, float(np.max(np.abs(content))))
  samples = np.round(content[:, 0] / loudest * 32767).astype("<i2")
  with wave.open(str(path), "wb") as file:
    file.setnchannels(1)
    file.setsampwidth(2)
    file.setframerate(sample_rate)
    file.writeframes(samples.tobytes())
  return path


def _pillow(image: np.ndarray) -> Any:
  from PIL import Image  # comes with Matplotlib, which training alone never loads

  return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
