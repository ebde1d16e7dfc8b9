"""The harder edition of small pictures: what is drawn, and that it is repeatable."""

import argparse

import numpy as np
import pytest

from neural_epitome.data import decoding, sources
from neural_epitome.data.options import DataOptions
from neural_epitome.data.recipes import cluttered
from neural_epitome.data.recipes.fashion_mnist import (
  encode_png,
  prepare_fashion_mnist,
)
from neural_epitome.errors import UserError


def disc(side=28, radius=9):
  rows, columns = np.indices((side, side)) - (side - 1) / 2
  return (200 * (rows**2 + columns**2 < radius**2)).astype(np.uint8)


@pytest.mark.parametrize("seed", range(20))
def test_a_picture_is_moved_and_turned_but_not_scaled(seed):
  canvas = cluttered.place(disc(), np.random.default_rng(seed))
  assert canvas.shape == (56, 56)
  assert float(canvas.sum()) == pytest.approx(float(disc().sum()), rel=0.02)


class Pictures:
  """A source of pictures of these shapes."""

  def __init__(self, *shapes):
    self.images = [np.ones(shape, np.uint8) for shape in shapes]

  def __len__(self):
    return len(self.images)

  def __getitem__(self, index):
    return {"image": encode_png(self.images[index]), "label": 0}

  def describe(self, index):
    return f"example {index}"


def test_pictures_that_are_not_square_or_of_one_size_are_named():
  for shapes in (((8, 8), (9, 9)), ((8, 9),)):
    with pytest.raises(UserError, match=f"example {len(shapes) - 1}.*square"):
      list(cluttered.cluttered(Pictures(*shapes), 0))
  options = argparse.Namespace(dataset="embedded", seed=-1, data_dir="none")
  with pytest.raises(UserError, match="--seed=-1"):
    cluttered.ClutteredRecipe().prepare(options)


def test_places_and_angles_are_spread_over_the_canvas():
  half = disc()
  half[:14] = 0
  means, angles = [], []
  for seed in range(300):
    canvas = cluttered.place(half, np.random.default_rng(seed)).astype(float)
    whole = cluttered.place(disc(), np.random.default_rng(seed)).astype(float)
    centres = [
      [np.sum(axis * c) / c.sum() for axis in np.indices(c.shape)]
      for c in (canvas, whole)
    ]
    means.append(centres[1])
    angles.append(np.arctan2(*np.subtract(*centres)))
  assert np.allclose(np.min(means, 0), 13.5, atol=1)
  assert np.allclose(np.max(means, 0), 41.5, atol=1)
  counts, _ = np.histogram(angles, 6, (-np.pi, np.pi))
  assert counts.min() > 25


def test_pieces_are_laid_over_it_and_never_darken_it():
  canvas = cluttered.place(disc(), np.random.default_rng(0))
  others = [np.full((28, 28), 90, np.uint8)] * cluttered.PIECES
  cluttered_canvas = cluttered.clutter(canvas, others, np.random.default_rng(1))
  assert np.all(cluttered_canvas >= canvas)
  added = np.sum((cluttered_canvas == 90) & (canvas < 90))
  assert 3 * 81 < added <= cluttered.PIECES * 81


def test_the_prepared_set_has_all_labels_and_the_seed_decides_its_pictures(
  idx_dir, tmp_path
):
  prepare_fashion_mnist(idx_dir, tmp_path)
  recipe = cluttered.ClutteredRecipe()

  def prepare(seed):
    options = argparse.Namespace(
      dataset="fashion_mnist", seed=seed, data_dir=str(tmp_path)
    )
    return recipe.prepare(options)

  directory = prepare(seed=3)
  with pytest.raises(UserError, match="already"):
    prepare(seed=3)
  first = directory.rename(tmp_path / "first")
  second = prepare(seed=3).rename(tmp_path / "second")
  third = prepare(seed=4)
  for split in ("train", "test"):
    plain = sources.open_source(
      DataOptions(dataset="fashion_mnist", data_dir=str(tmp_path)), split
    )
    prepared_sources = [
      sources.open_source(DataOptions(dataset=str(path)), split)
      for path in (first, second, third)
    ]
    # The form of prepared data has its own order, which the pictures do not decide.
    labels = [
      sorted(s[i]["label"] for i in range(len(s))) for s in (plain, *prepared_sources)
    ]
    assert labels == [labels[0]] * 4
    for index in range(len(plain)):
      example, same, other = (source[index] for source in prepared_sources)
      assert example["image"] == same["image"] != other["image"]
      assert decoding.decode(example["image"], 1).shape == (56, 56, 1)
