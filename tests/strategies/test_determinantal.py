"""What is taken is good, and apart."""

import itertools

import numpy as np
import pytest

from neural_epitome.strategies import determinantal, gaussian_process


def alike(count, seed):
  options = np.random.default_rng(seed).integers(3, size=(count, 4))
  return gaussian_process.likeness(options, options, 2.0)


@pytest.mark.parametrize("seed", range(5))
def test_each_one_adds_most_to_the_determinant(seed):
  random = np.random.default_rng(seed)
  quality, s = random.random(12), alike(12, seed)
  kernel = quality[:, None] * s * quality

  def determinant(chosen):
    return np.linalg.det(kernel[np.ix_(chosen, chosen)])

  taken = determinantal.likeliest(quality, s, 4)
  for number in range(len(taken)):
    others = [n for n in range(12) if n not in taken[:number]]
    best = max(determinant([*taken[:number], n]) for n in others)
    assert determinant(taken[: number + 1]) == pytest.approx(best)


def test_the_same_candidate_is_not_taken_twice():
  s = np.ones((5, 5))
  s[4, :4] = s[:4, 4] = 0.0
  assert determinantal.likeliest(np.array([1.0, 3.0, 2.0, 3.0, 0.1]), s, 5) == [1, 4]


def test_candidates_that_are_not_alike_are_taken_by_their_quality():
  quality = np.array([0.2, 0.9, 0.4, 0.7])
  assert determinantal.likeliest(quality, np.eye(4), 3) == [1, 3, 2]


def test_it_is_near_to_the_likeliest_of_all_sets():
  quality, s = np.random.default_rng(9).random(9) + 0.5, alike(9, 9)
  kernel = quality[:, None] * s * quality

  def log(chosen):
    return np.linalg.slogdet(kernel[np.ix_(chosen, chosen)])[1]

  best = max(log(list(c)) for c in itertools.combinations(range(9), 3))
  assert log(determinantal.likeliest(quality, s, 3)) > best - 0.5
