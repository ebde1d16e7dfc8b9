"""Generated pictures in the form of ImageNet."""

import collections

import numpy as np
import pytest

from neural_epitome.data import decoding, prepare
from neural_epitome.data.recipes import imagenet2012, imagenet_form


def test_names_are_those_of_the_originals_and_say_the_class():
  train = list(imagenet_form.names("train", 2))
  assert len({name for _, _, name in train}) == 2000
  assert train[3] == (1, 1, "n01443537_2.JPEG")
  for label, _, name in imagenet_form.names("validation", 1):
    number = int(name[-13:-5])
    synset = imagenet2012.validation_synsets()[number - 1]
    assert synset == imagenet2012.synsets()[label]


def test_a_picture_follows_from_seed_split_class_and_number():
  first = imagenet_form.make(0, "train", 3, 1)
  assert imagenet_form.make(0, "train", 3, 1) == first
  others = [(1, "train", 3, 1), (0, "validation", 3, 1), (0, "train", 4, 1)]
  assert all(imagenet_form.make(*other) != first for other in others)


def test_a_class_has_its_color():
  random = np.random.default_rng(0)
  drawn = [imagenet_form.picture(random, 40, 50, label) for label in (0, 0, 1)]
  means = [image.mean((0, 1)) for image in drawn]
  assert np.abs(means[0] - means[1]).max() < np.abs(means[0] - means[2]).max()


@pytest.mark.parametrize("space", ["RGB", "GRAY", "CMYK"])
def test_every_color_space_decodes_to_the_picture(space):
  image = imagenet_form.picture(np.random.default_rng(0), 64, 80, 5)
  decoded = decoding.decode(imagenet_form.encode(image, space), 3)
  if space == "GRAY":
    image = decoding.convert_channels(decoding.convert_channels(image, 1), 3)
  # Chroma at half the resolution is coarse on noise.
  assert np.abs(decoded.astype(int) - image).mean() < 12


def test_sizes_are_mixed_around_those_of_imagenet():
  random = np.random.default_rng(0)
  drawn = collections.Counter(imagenet_form.size(random) for _ in range(2000))
  assert set(drawn) == {size for size, _ in imagenet_form.SIZES}
  pixels = sum(h * w * count for (h, w), count in drawn.items()) / 2000
  assert 160_000 < pixels < 220_000


def test_numbers_out_of_range_and_folders_in_use_are_refused(tmp_path, capsys):
  command = ["imagenet_form", f"--data_dir={tmp_path}"]
  assert prepare.main([*command, "--validation=51"]) == 1
  assert "--validation=51 must be from 1 to 50" in capsys.readouterr().err
  (tmp_path / "train").mkdir()
  assert prepare.main(command) == 1
  assert "exists already" in capsys.readouterr().err
