"""The predictions of a network for all evaluation examples, counted by class."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

# Up to so many classes the whole confusion matrix is kept and shown.
MATRIX_CLASSES = 20
# Pairs of classes that are kept, the most often confused first.
CONFUSED_PAIRS = 50


@dataclasses.dataclass(frozen=True)
class Predictions:
  """One entry for each evaluated example, in the order of their positions.

  Attributes:
    position: int64 (n,), of the example in the evaluation split.
    label: int32 (n,), its class.
    predicted: int32 (n,), the most probable class; -1 where the logits are not finite.
    confidence: float32 (n,), the probability of that class; 0 where there is none.
  """

  position: np.ndarray
  label: np.ndarray
  predicted: np.ndarray
  confidence: np.ndarray

  @classmethod
  def of_batches(cls, batches: Sequence[Mapping[str, np.ndarray]]) -> "Predictions":
    """From the rows of every batch; rows whose label is negative are padding."""
    rows = {
      field.name: np.concatenate([batch[field.name] for batch in batches])
      for field in dataclasses.fields(cls)
    }
    order = np.argsort(rows["position"], kind="stable")
    order = order[rows["label"][order] >= 0]
    return cls(**{name: values[order] for name, values in rows.items()})

  @property
  def is_right(self) -> np.ndarray:
    """Whether the most probable class is the label: bool (n,)."""
    return self.predicted == self.label


def summarise(predictions: Predictions, classes: Sequence[str]) -> dict[str, Any]:
  """Counts of predictions by class, as they stand in evaluation.json.

  Args:
    predictions: all examples of the split.
    classes: names, by label.

  Returns:
    `examples`; `not_finite`, examples without a prediction; `classes`, a list of
    {class, examples, correct} in the order of labels; `confusion`, a row a label of
    counts by predicted class, or None with more than `MATRIX_CLASSES`; `confused`, a
    list of {label, predicted, count}, most often confused first.
  """
  count = len(classes)
  right = predictions.is_right
  examples = np.bincount(predictions.label, minlength=count)
  correct = np.bincount(predictions.label[right], minlength=count)
  is_wrong = ~right & (predictions.predicted >= 0)
  # Pairs as one number each: a matrix of many thousand classes would be all zeros.
  codes = (
    predictions.label[is_wrong].astype(np.int64) * count
    + predictions.predicted[is_wrong]
  )
  pairs, times = np.unique(codes, return_counts=True)
  order = np.argsort(-times, kind="stable")[:CONFUSED_PAIRS]
  matrix = None
  if count <= MATRIX_CLASSES:
    matrix = np.diag(correct)
    matrix[pairs // count, pairs % count] = times
    matrix = matrix.tolist()
  return {
    "examples": len(predictions.label),
    "not_finite": int(np.sum(predictions.predicted < 0)),
    "classes": [
      {"class": name, "examples": int(n), "correct": int(k)}
      for name, n, k in zip(classes, examples, correct, strict=True)
    ],
    "confusion": matrix,
    "confused": [
      {
        "label": classes[int(pairs[i]) // count],
        "predicted": classes[int(pairs[i]) % count],
        "count": int(times[i]),
      }
      for i in order
    ],
  }


def choose(predictions: Predictions, count: int, *, right: bool) -> np.ndarray:
  """Indices of examples to show: the first of each class, then the second, and so on.

  Args:
    predictions: all examples of the split.
    count: of examples, or fewer where there are not so many.
    right: whether they are those that were predicted rightly or the others.

  Returns:
    int64 (count,), indices into the arrays of `predictions`.
  """
  (candidates,) = np.nonzero(
    (predictions.is_right == right) & (predictions.predicted >= 0)
  )
  labels = predictions.label[candidates]
  order = np.argsort(labels, kind="stable")
  starts = np.searchsorted(labels[order], labels[order])
  # How many of its class stand before it.
  turn = np.arange(len(order)) - starts
  return np.sort(candidates[order[np.lexsort((order, turn))][:count]])
