"""A picture is upright wherever it is read, as Pillow turns it."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from neural_epitome.data import (
  array_records,
  decoding,
  orientation,
  pipeline,
  sources,
  tiff_tags,
)
from neural_epitome.data.options import Augmentation, DataOptions
from neural_epitome.data.recipes import cluttered
from tests.data.helpers import smooth_picture

EVERY = range(1, 9)
OPTIONS = DataOptions(
  image_size=40,
  channels=3,
  mean=(0.0,),
  std=(1.0,),
  batch_size=8,
  augmentation=Augmentation(),
)


def tagged(how, form="JPEG", height=75, width=117, mode="RGB", **options):
  """A picture whose rows are stored as a camera held in this way stores them."""
  exif = Image.Exif()
  exif[tiff_tags.ORIENTATION] = how
  if form == "TIFF":
    options = {"tiffinfo": {tiff_tags.ORIENTATION: how}}
  else:
    options |= {"exif": exif}
  buffer = io.BytesIO()
  picture = Image.fromarray(smooth_picture(1, height, width)).convert(mode)
  picture.save(buffer, form, **options)
  return buffer.getvalue()


def upright(data, channels=3):
  """What Pillow says of it: uint8 (H, W, channels)."""
  picture = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
  picture = picture.convert("RGB" if channels == 3 else "L")
  return np.asarray(picture).reshape(picture.height, picture.width, channels)


def assert_near(pixels, expected, most=3):
  assert pixels.shape == expected.shape
  assert np.abs(pixels.astype(int) - expected.astype(int)).max() <= most


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
  ("form", "options"),
  [
    ("JPEG", {}),
    ("JPEG", {"mode": "CMYK"}),
    ("JPEG", {"progressive": True}),
    ("PNG", {}),
    ("WEBP", {"lossless": True}),
    ("TIFF", {}),
  ],
)
@pytest.mark.parametrize("how", EVERY)
def test_every_form_is_decoded_upright(form, options, how, channels):
  data = tagged(how, form, **options)
  assert_near(decoding.decode(data, channels), upright(data, channels))
  assert decoding.size_of(data) == upright(data).shape[:2]


@pytest.mark.parametrize("size", [9, 20, 40])
@pytest.mark.parametrize("how", EVERY)
def test_a_crop_is_of_the_upright_picture_however_far_it_is_shrunk(how, size):
  data = tagged(how, height=80, width=120, quality=98)

  def box(height, width):
    # Off the centre, and on the grid of every shrinking.
    return height // 5, width // 5, 40, 40

  part = decoding.resized_region(data, box, size, 3).astype(int)
  expected = decoding.resized_region(upright(data), box, size, 3).astype(int)
  assert np.abs(part - expected).mean() < 2.5


@pytest.mark.slow
@pytest.mark.parametrize("minimum_area", [1.0, 0.3])
def test_training_evaluation_and_prediction_see_upright_pictures(
  tmp_path, minimum_area
):
  # What is stored upright is turned by nobody: both folders are one to a network.
  for how in EVERY:
    data = tagged(how, quality=98)
    for folder in ("turned", "stored"):
      for split in ("train", "test"):
        (tmp_path / folder / split / "any").mkdir(parents=True, exist_ok=True)
        file = tmp_path / folder / split / "any" / f"{how}.jpg"
        if folder == "turned":
          file.write_bytes(data)
        else:
          Image.fromarray(upright(data)).save(file, "PNG")
  augmentation = Augmentation(minimum_area=minimum_area)
  seen = {}
  for folder in ("turned", "stored"):
    for cached in (0, 256):
      options = DataOptions(
        **vars(OPTIONS)
        | {
          "dataset": str(tmp_path / folder),
          "augmentation": augmentation,
          "cache_megabytes": cached,
        }
      )
      source = sources.open_source(options, "train")
      with pipeline.training_batches(source, options, seed=3) as batches:
        seen[folder, cached] = next(batches)["image"]
    with pipeline.evaluation_batches(source, options) as batches:
      evaluated = next(batches)["image"][: len(source)]
    predicted = [pipeline.load_file(source.describe(i), options) for i in range(8)]
    np.testing.assert_allclose(predicted, evaluated, atol=1e-6)
    seen[folder] = evaluated
  for pair in ((("turned", 0), ("stored", 0)), (("turned", 256), ("stored", 256))):
    assert np.abs(seen[pair[0]] - seen[pair[1]]).mean() < 0.01
  assert np.abs(seen["turned"] - seen["stored"]).mean() < 0.01


def test_prepared_pictures_are_upright_when_they_are_read(tmp_path):
  pictures = [tagged(how) for how in EVERY]
  array_records.write_prepared(
    tmp_path,
    "phones",
    {split: ((data, 0) for data in pictures) for split in ("train", "test")},
    ("any",),
    shape=(None, None, 3),
    description="",
  )
  options = DataOptions(
    **vars(OPTIONS) | {"dataset": "phones", "data_dir": str(tmp_path)}
  )
  source = sources.open_source(options, "train")
  assert sorted(source[i]["image"] for i in range(8)) == sorted(pictures)
  views = pipeline.evaluation_inputs(source, options, range(8))
  for view, index in zip(views, range(8), strict=True):
    example = source[index]["image"]
    expected = decoding.resized_region(
      upright(example), lambda h, w: ((h - 75) // 2, (w - 75) // 2, 75, 75), 40, 3
    )
    assert np.abs(view.astype(int) - expected.astype(int)).mean() < 2.5


class Square:
  """One picture a way to hold the camera, as files or upright already."""

  classes = ("any",)

  def __init__(self, make):
    self.files = [make(tagged(how, height=56, width=56)) for how in EVERY]

  def __len__(self):
    return len(self.files)

  def __getitem__(self, index):
    return {"image": self.files[index], "label": 0}


def test_a_preparation_that_draws_pictures_anew_draws_them_upright():
  def stored_upright(data):
    buffer = io.BytesIO()
    Image.fromarray(upright(data)).save(buffer, "PNG")
    return buffer.getvalue()

  turned, stored = (
    np.stack([image for image, _ in cluttered.cluttered(Square(make), 0)])
    for make in (bytes, stored_upright)
  )
  assert np.abs(turned.astype(int) - stored.astype(int)).max() <= 4


@pytest.mark.parametrize("cut", [12, 16, 20, 30])
def test_damaged_tags_leave_a_picture_as_it_is_stored(cut):
  data = tagged(6)
  start = data.index(b"Exif\0\0")
  broken = data[: start + cut] + bytes(60 - cut) + data[start + 60 :]
  assert orientation.of_jpeg(broken) in (1, 6)
  assert orientation.of_jpeg(data[:20]) == 1
  assert orientation.of_jpeg(b"\xff\xd8") == 1
