"""Boxes stay inside the picture and have the shapes that were asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural_epitome.data import cropping


@given(
  seed=st.integers(0, 2**32),
  height=st.integers(1, 600),
  width=st.integers(1, 600),
  area=st.floats(0.01, 1.0),
)
def test_random_boxes_lie_within_the_picture(seed, height, width, area):
  generator = np.random.default_rng(seed)
  top, left, tall, wide = cropping.random_box(generator, height, width, area)
  assert 0 <= top <= top + tall <= height
  assert 0 <= left <= left + wide <= width
  assert tall > 0
  assert wide > 0


def test_random_boxes_have_the_areas_and_ratios_of_the_paper():
  generator = np.random.default_rng(0)
  boxes = np.array(
    [cropping.random_box(generator, 1000, 1000, 0.25) for _ in range(4000)]
  )
  areas, ratios = boxes[:, 2] * boxes[:, 3] / 1e6, boxes[:, 3] / boxes[:, 2]
  assert 0.249 < areas.min() < 0.27
  assert 0.93 < areas.max() <= 1.0
  assert 0.74 < ratios.min() < 0.77
  assert 1.30 < ratios.max() < 1.34
  # Uniform in logarithm: as many wide boxes as tall ones.
  assert abs((ratios > 1).mean() - 0.5) < 0.03
  # Every place is reached.
  assert boxes[:, 0].min() == 0
  assert (boxes[:, 0] + boxes[:, 2]).max() == 1000


def test_a_picture_too_long_for_any_ratio_gives_its_centre():
  generator = np.random.default_rng(0)
  assert cropping.random_box(generator, 10, 1000, 0.9) == (0, 493, 10, 13)
  assert cropping.random_box(generator, 1000, 10, 0.9) == (493, 0, 13, 10)


@pytest.mark.parametrize(
  ("height", "width", "fraction", "box"),
  [
    (28, 28, 1.0, (0, 0, 28, 28)),
    (256, 256, 0.875, (16, 16, 224, 224)),
    (375, 500, 0.875, (23, 86, 328, 328)),
    (1, 9, 0.1, (0, 4, 1, 1)),
  ],
)
def test_the_central_box_is_a_share_of_the_short_side(height, width, fraction, box):
  assert cropping.central_box(height, width, fraction) == box


def test_padded_crops_reach_every_shift_and_pad_with_zeros():
  image = np.arange(1, 17, dtype=np.uint8).reshape(4, 4, 1)
  generator, seen = np.random.default_rng(0), set()
  for _ in range(300):
    crop = cropping.padded_random_crop(generator, image, 1)
    assert crop.shape == image.shape
    seen.add(crop.tobytes())
  padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
  expected = {
    padded[y : y + 4, x : x + 4].tobytes() for y in range(3) for x in range(3)
  }
  assert seen == expected
