"""Counts by class, worked out by hand."""

import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural_epitome.report import classes as classes_page
from neural_epitome.report import predictions
from neural_epitome.report.predictions import Predictions

CLASSES = ("cat", "dog", "owl")


def made(pairs):
  label, predicted = np.array(pairs, np.int32).reshape(-1, 2).T
  positions = np.arange(len(label))
  return Predictions(positions, label, predicted, np.full(len(label), 0.5, np.float32))


def test_classes_confusion_and_confused_pairs_are_counted():
  predicted = made([(0, 0), (0, 0), (0, 1), (1, 1), (1, 2), (1, 2), (2, 2), (2, -1)])
  summary = predictions.summarise(predicted, CLASSES)
  assert json.loads(json.dumps(summary)) == {
    "examples": 8,
    "not_finite": 1,
    "classes": [
      {"class": "cat", "examples": 3, "correct": 2},
      {"class": "dog", "examples": 3, "correct": 1},
      {"class": "owl", "examples": 2, "correct": 1},
    ],
    "confusion": [[2, 1, 0], [0, 1, 2], [0, 0, 1]],
    "confused": [
      {"label": "dog", "predicted": "owl", "count": 2},
      {"label": "cat", "predicted": "dog", "count": 1},
    ],
  }


def test_of_many_classes_the_most_confused_pairs_are_kept_and_no_matrix():
  classes = [f"class {i}" for i in range(1000)]
  pairs = [(i, (i + 1) % 1000) for i in range(1000)] + 3 * [(998, 7)]
  summary = predictions.summarise(made(pairs), classes)
  assert summary["confusion"] is None
  assert len(summary["confused"]) == predictions.CONFUSED_PAIRS
  first = {"label": "class 998", "predicted": "class 7", "count": 3}
  assert summary["confused"][0] == first
  assert len(summary["classes"]) == 1000


@pytest.mark.slow
def test_of_very_many_classes_counts_and_page_stay_small():
  count = 22_000
  names = [f"a class of the name {i}" for i in range(count)]
  random = np.random.default_rng(0)
  pairs = random.integers(0, count, (2 * count, 2))
  made_of_all = made(pairs)
  tracemalloc.start()
  summary = predictions.summarise(made_of_all, names)
  html = "".join(classes_page.parts(summary))
  most = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  # A matrix would take 22,000 squared: 484 MB at a byte a pair.
  assert most < 40e6
  assert len(html) < 10_000
  assert "worst classes of 22,000" in html
  assert "evaluation.json" in html
  assert len(json.dumps(summary)) < 2_000_000
  few = classes_page.parts(predictions.summarise(made(pairs % 100), names[:100]))
  assert "All 100 classes" in "".join(few)


classes = st.integers(0, 2)


@given(st.lists(st.tuples(classes, st.integers(-1, 2)), min_size=1))
def test_every_example_is_in_the_matrix_but_those_without_a_prediction(pairs):
  summary = predictions.summarise(made(pairs), CLASSES)
  matrix = np.array(summary["confusion"])
  assert matrix.sum() == len(pairs) - summary["not_finite"]
  assert np.diag(matrix).tolist() == [row["correct"] for row in summary["classes"]]
  confused = sum(pair["count"] for pair in summary["confused"])
  assert confused == matrix.sum() - np.trace(matrix)


@given(st.lists(st.tuples(classes, st.integers(-1, 2))), st.integers(0, 9))
def test_examples_to_show_are_right_or_wrong_as_asked_and_of_all_classes(pairs, count):
  predicted = made(pairs)
  for right in (True, False):
    chosen = predictions.choose(predicted, count, right=right)
    have = [i for i, (a, b) in enumerate(pairs) if b >= 0 and (a == b) == right]
    assert set(chosen.tolist()) <= set(have)
    assert len(chosen) == min(count, len(have))
    labels = [pairs[i][0] for i in chosen]
    left = [pairs[i][0] for i in set(have) - set(chosen.tolist())]
    # No class has two more than another that has some left.
    for label in set(left):
      assert max(map(labels.count, labels), default=0) <= labels.count(label) + 1


def test_padding_is_left_out_and_positions_are_in_order():
  batches = [
    {
      "position": np.uint32(position),
      "label": np.int32(label),
      "predicted": np.int32([0, 0]),
      "confidence": np.float32([0.5, 0.5]),
    }
    for position, label in (([3, 1], [1, 2]), ([0, 2], [0, -1]))
  ]
  joined = Predictions.of_batches(batches)
  assert joined.position.tolist() == [0, 1, 3]
  assert joined.label.tolist() == [0, 2, 1]
