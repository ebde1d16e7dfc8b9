"""Operations of the augmentation policies, against Pillow's."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from neural_epitome.data import operations as ops
from neural_epitome.data import policies
from tests.data.helpers import smooth_picture

FACTORS = (0.0, 0.1, 0.7, 1.0, 1.5, 1.9)


def _image(channels: int) -> np.ndarray:
  image = smooth_picture(3, 37, 41, channels).astype(int) // 2 + 40
  noise = np.random.default_rng(1).integers(0, 20, image.shape)
  return (image + noise).astype(np.uint8)


def _pillow(image: np.ndarray) -> Image.Image:
  return Image.fromarray(image[:, :, 0] if image.shape[-1] == 1 else image)


def _assert_near(result: np.ndarray, expected: Image.Image, tolerance: int) -> None:
  expected = np.asarray(expected).reshape(result.shape)
  assert result.dtype == np.uint8
  assert np.abs(result.astype(int) - expected.astype(int)).max() <= tolerance


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("factor", FACTORS)
def test_enhancements_agree_with_pillow(channels, factor):
  image = _image(channels)
  pillow = _pillow(image)
  for ours, theirs in (
    (ops.brightness, ImageEnhance.Brightness),
    (ops.contrast, ImageEnhance.Contrast),
    (ops.color, ImageEnhance.Color),
    (ops.sharpness, ImageEnhance.Sharpness),
  ):
    _assert_near(ours(image, factor), theirs(pillow).enhance(factor), 2)


def test_smoothing_is_pillows_filter():
  image = _image(3)
  _assert_near(ops.sharpness(image, 0.0), _pillow(image).filter(ImageFilter.SMOOTH), 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_tone_operations_equal_pillows(channels):
  image = _image(channels)
  pillow = _pillow(image)
  _assert_near(ops.invert(image), ImageOps.invert(pillow), 0)
  _assert_near(ops.equalize(image), ImageOps.equalize(pillow), 0)
  _assert_near(ops.autocontrast(image), ImageOps.autocontrast(pillow), 0)
  for bits in (1, 4, 8):
    _assert_near(ops.posterize(image, bits), ImageOps.posterize(pillow, bits), 0)
  for threshold in (0, 100, 256):
    _assert_near(
      ops.solarize(image, threshold), ImageOps.solarize(pillow, threshold), 0
    )


def test_flat_images_survive_the_histogram_operations():
  flat = np.full((6, 6, 3), 77, np.uint8)
  np.testing.assert_array_equal(ops.equalize(flat), flat)
  np.testing.assert_array_equal(ops.autocontrast(flat), flat)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
  ("operation", "amount", "matrix"),
  [
    (ops.shear_x, 0.2, (1, 0.2, 0, 0, 1, 0)),
    (ops.shear_y, -0.3, (1, 0, 0, -0.3, 1, 0)),
    (ops.translate_x, 8 / 41, (1, 0, 8, 0, 1, 0)),
    (ops.translate_y, -9 / 37, (1, 0, 0, 0, 1, -9)),
  ],
)
def test_geometry_moves_as_pillow_does(channels, operation, amount, matrix):
  image = smooth_picture(5, 37, 41, channels)
  result = operation(image, amount)
  pillow = _pillow(image)
  expected = pillow.transform(
    pillow.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
  )
  inside = np.asarray(
    Image.new("L", pillow.size, 255).transform(
      pillow.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST
    )
  )
  # Away from the border, where the two fill differently; Pillow puts the centre
  # of a pixel at its half.
  inside = inside.copy()
  inside[:3], inside[-3:], inside[:, :3], inside[:, -3:] = 0, 0, 0, 0
  expected = np.asarray(expected).reshape(result.shape).astype(int)
  difference = np.abs(result.astype(int) - expected)[inside > 0]
  assert difference.mean() < 3
  assert result.shape == image.shape


def test_rotation_by_a_right_angle_is_exact_and_counter_clockwise():
  image = _image(3)[:31, :31]
  np.testing.assert_array_equal(ops.rotate(image, 90.0), np.rot90(image))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", policies.RANDAUGMENT_OPERATIONS)
def test_every_operation_keeps_form_and_grows_with_its_magnitude(name, channels):
  image = _image(channels)
  for sign in (-1, 1):
    changes = []
    for magnitude in (0.0, 3.0, 9.0):
      result = policies.apply(name, image, magnitude, sign)
      assert result.shape == image.shape
      assert result.dtype == np.uint8
      changes.append(np.abs(result.astype(int) - image).mean())
    if name not in ("AutoContrast", "Equalize"):
      assert changes[0] == pytest.approx(0, abs=0.6)
    if name not in ("Identity", "AutoContrast", "Equalize", "Color"):
      assert changes[2] > changes[1] - 1e-9
      assert changes[2] > changes[0]


@pytest.mark.parametrize("channels", [1, 3])
def test_policies_are_functions_of_image_and_generator(channels):
  image = _image(channels)
  original = image.copy()
  for policy in (
    lambda g: policies.randaugment(g, image, 2, 9.0),
    lambda g: policies.autoaugment(g, image),
    lambda g: policies.color_jitter(g, image, 0.4),
  ):
    results = [policy(np.random.default_rng(seed)) for seed in range(40)]
    again = [policy(np.random.default_rng(seed)) for seed in range(40)]
    np.testing.assert_array_equal(results, again)
    assert len({result.tobytes() for result in results}) > 10
  np.testing.assert_array_equal(image, original)


def test_autoaugment_has_its_25_pairs_of_known_operations():
  assert len(policies.AUTOAUGMENT_IMAGENET) == 25
  known = {*policies.RANDAUGMENT_OPERATIONS, "Invert"}
  for pair in policies.AUTOAUGMENT_IMAGENET:
    for name, probability, magnitude in pair:
      assert name in known
      assert 0 <= probability <= 1
      assert 0 <= magnitude <= 10
