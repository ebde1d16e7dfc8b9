"""What bytes become: against Pillow, an independent decoder."""

import io

import numpy as np
import pytest
from PIL import Image

from neural_epitome.data import decoding
from tests.data.helpers import encoded, smooth_picture


def _pillow(data: bytes, channels: int) -> np.ndarray:
  image = Image.open(io.BytesIO(data)).convert("L" if channels == 1 else "RGB")
  return np.asarray(image).reshape(image.height, image.width, channels)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
  ("form", "mode"),
  [
    ("JPEG", "RGB"),
    ("JPEG", "L"),
    ("JPEG", "CMYK"),
    ("PNG", "RGB"),
    ("PNG", "L"),
    ("PNG", "P"),
    ("PNG", "1"),
    ("BMP", "RGB"),
    ("TIFF", "RGB"),
  ],
)
def test_every_form_decodes_to_the_wanted_channels(form, mode, channels):
  data = encoded(smooth_picture(0, 45, 61), form, mode)
  decoded = decoding.decode(data, channels)
  assert decoded.dtype == np.uint8
  assert decoded.shape == (45, 61, channels)
  expected = _pillow(data, channels).astype(int)
  assert np.abs(decoded.astype(int) - expected).max() <= 3
  assert decoding.size_of(data) == (45, 61)


@pytest.mark.parametrize("channels", [1, 3])
def test_transparency_is_dropped_and_sixteen_bits_become_eight(channels):
  pixels = smooth_picture(1, 20, 30)
  alpha = np.full((20, 30, 1), 7, np.uint8)
  buffer = io.BytesIO()
  Image.fromarray(np.concatenate([pixels, alpha], -1)).save(buffer, "PNG")
  opaque = decoding.decode(encoded(pixels, "PNG"), channels)
  np.testing.assert_array_equal(decoding.decode(buffer.getvalue(), channels), opaque)
  buffer = io.BytesIO()
  deep = pixels[:, :, 0].astype(np.uint16) * 257
  Image.fromarray(deep).save(buffer, "PNG")
  decoded = decoding.decode(buffer.getvalue(), channels)
  np.testing.assert_array_equal(decoded[:, :, 0], pixels[:, :, 0])


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_decoding_down_to_the_crop_gives_the_pixels_of_the_whole(
  progressive, subsampling
):
  pixels = smooth_picture(2, 217, 150)
  data = encoded(pixels, progressive=progressive, subsampling=subsampling)
  whole = decoding.decode(data, 3)
  for top, left in ((0, 0), (13, 29), (90, 50), (117, 50)):
    part = decoding.resized_region(
      data, lambda h, w, t=top, s=left: (t, s, 100, 100), 100, 3
    )
    np.testing.assert_array_equal(part, whole[top : top + 100, left : left + 100])


def test_a_jpeg_shrunk_while_decoding_looks_as_one_shrunk_after():
  pixels = smooth_picture(3, 403, 517)
  data = encoded(pixels, quality=98)

  def box(height, width):
    return 3, 10, height - 6, width - 20

  for size in (10, 40, 90, 180, 300):
    early = decoding.resized_region(data, box, size, 3).astype(int)
    late = decoding.resized_region(decoding.decode(data, 3), box, size, 3).astype(int)
    assert early.shape == (size, size, 3)
    assert np.abs(early - late).mean() < 2.5


def test_shrinking_averages_and_so_keeps_the_mean_of_noise():
  noise = np.random.default_rng(0).integers(0, 256, (256, 256, 1), dtype=np.uint8)
  small = decoding.resized_region(noise, lambda h, w: (0, 0, h, w), 16, 1)
  # Picking pixels would leave a spread of about 74.
  assert abs(small.mean() - noise.mean()) < 2
  assert small.std() < 12


def test_resizing_to_the_same_size_changes_nothing():
  image = smooth_picture(4, 28, 28, 1)
  same = decoding.resized_region(image, lambda h, w: (0, 0, h, w), 28, 1)
  np.testing.assert_array_equal(same, image)


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("keep", [0, 1, 3, 100, 0.5, 0.95])
def test_truncated_files_are_told_apart(form, keep):
  data = encoded(smooth_picture(5, 64, 64), form)
  data = data[: keep if isinstance(keep, int) else int(keep * len(data))]
  with pytest.raises(decoding.ImageError):
    decoding.decode(data, 3)
  with pytest.raises(decoding.ImageError):
    decoding.resized_region(data, lambda h, w: (0, 0, h, w), 32, 3)


def test_bytes_after_the_end_of_a_jpeg_do_no_harm():
  data = encoded(smooth_picture(6, 32, 32))
  padded = decoding.decode(data + bytes(500), 3)
  np.testing.assert_array_equal(padded, decoding.decode(data, 3))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("given", [1, 3, 4])
def test_channels_of_arrays_are_converted(given, channels):
  image = np.full((5, 6, given), 90, np.uint8)
  converted = decoding.convert_channels(image, channels)
  np.testing.assert_array_equal(converted, np.full((5, 6, channels), 90))
