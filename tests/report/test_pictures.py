"""Examples on a page, and as files that can be predicted."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from neural_epitome.data import pipeline
from neural_epitome.data.options import DataOptions, SignalOptions
from neural_epitome.report import pictures


def shown(text):
  """The first picture of a page, decoded."""
  data = re.search(r"data:image/\w+;base64,([^\"]+)", text)[1]
  return Image.open(io.BytesIO(base64.b64decode(data)))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_small_image_is_shown_pixel_by_pixel(channels):
  image = np.random.default_rng(0).integers(0, 256, (28, 28, channels), np.uint8)
  pixels = np.asarray(shown(pictures.thumbnail(image, "a"))).reshape(28, 28, channels)
  np.testing.assert_array_equal(pixels, image)


def test_a_large_image_is_scaled_down_to_few_bytes():
  image = np.tile(np.arange(256, dtype=np.uint8)[:, None, None], (2, 448, 3))
  text = pictures.thumbnail(image, "a")
  assert max(shown(text).size) == pictures.THUMBNAIL
  assert len(text) < 20_000


def test_an_example_says_what_it_is_taken_for_and_what_it_is_where_that_differs():
  image = np.zeros((4, 4, 1), np.uint8)
  text = pictures.gallery([pictures.Example("<cat>", "dog", 0.514, image)])
  assert "dog" in text
  assert "51%" in text
  assert "is &lt;cat&gt;" in text
  right = pictures.gallery([pictures.Example("dog", "dog", 1.0, image)])
  assert "is dog" not in right


def test_an_image_is_read_back_as_evaluation_sees_it(tmp_path):
  image = np.random.default_rng(0).integers(0, 256, (28, 28, 1), np.uint8)
  file = pictures.save(tmp_path / "new", image, None)
  options = DataOptions(mean=(0.0,), std=(1.0,))
  pixels = pipeline.load_file(file, options)
  np.testing.assert_allclose(pixels, image / np.float32(255), atol=1e-6)


def test_a_sound_is_read_back_as_evaluation_sees_it(tmp_path):
  pytest.importorskip("soundfile")
  options = SignalOptions(length=500, sample_rate=8000)
  signal = np.sin(np.arange(500, dtype=np.float32) / 9)[:, None]
  signal /= np.abs(signal).max()
  file = pictures.save(tmp_path, signal, options.sample_rate)
  np.testing.assert_allclose(pipeline.load_file(file, options), signal, atol=1e-4)


def test_a_signal_that_is_no_sound_is_not_saved(tmp_path):
  signal = np.zeros((500, 2), np.float32)
  assert pictures.save(tmp_path, signal, 8000) is None
  assert pictures.save(tmp_path, signal[:, :1], None) is None
  assert list(tmp_path.iterdir()) == []


def test_a_signal_is_drawn_between_its_extremes_a_row_a_channel():
  signal = np.zeros((1000, 2), np.float32)
  signal[500, 1] = -4.0
  text = pictures.envelope(signal)
  first, second = (
    np.array([point.split(",") for point in points.split()], float)
    for points in re.findall(r'points="([^"]+)"', text)
  )
  assert np.unique(first[:, 1]).tolist() == [20.0]
  # Downwards in SVG, in the middle of the second row.
  assert second[:, 1].min() == 60.0
  lowest = second[second[:, 1].argmax()]
  assert lowest[1] == pytest.approx(60 + 0.46 * 40, abs=0.1)
  assert abs(lowest[0] - pictures.COLUMNS / 2) <= 1
  assert pictures.envelope(np.zeros((3, 1), np.float32)).count("<polygon") == 1
