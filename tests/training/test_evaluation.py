"""Counts worked out by hand, on logits that are the images themselves."""

import hypothesis
import hypothesis.extra.numpy as arrays
import hypothesis.strategies as some
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from neural_epitome.distributed import devices
from neural_epitome.training import evaluation


class Readout(nn.Module):
  """Logits are the image's channels plus a bias."""

  @nn.compact
  def __call__(self, images, train=False):
    bias = self.param("bias", nn.initializers.zeros, (images.shape[-1],))
    return images[:, 0, 0] + bias[None, :]


def evaluate(batches, bias):
  mesh = devices.make_mesh()
  counter = evaluation.make_counter(Readout(), mesh)
  weights = {name: {"params": {"bias": jnp.float32(b)}} for name, b in bias.items()}
  return evaluation.evaluate(counter, weights, batches, mesh)


def batch(logits, labels, mask):
  return {
    "image": np.float32(logits)[:, None, None, :],
    "label": np.int32(labels),
    "mask": np.float32(mask),
  }


def test_padding_counts_for_nothing_and_weights_are_told_apart():
  first = batch([[2, 0], [0, 2]], [0, 0], [1, 1])
  # The padded row would be right, and its label is out of range.
  last = batch([[0, 3], [9, 0]], [1, -1], [1, 0])
  shares = evaluate([first, last], {"raw": [0.0, 0.0], "ema": [0.0, 10.0]})
  assert shares["raw"]["examples"] == shares["ema"]["examples"] == 3
  np.testing.assert_allclose(shares["raw"]["top1"], 2 / 3)
  np.testing.assert_allclose(shares["ema"]["top1"], 1 / 3)
  expected = np.log1p(np.exp([-2.0, 2.0, -3.0])).mean()
  np.testing.assert_allclose(shares["raw"]["loss"], expected, rtol=1e-6)
  assert "top5" not in shares["raw"], "two classes have no top five"


def test_top5_needs_the_label_among_the_five_largest():
  logits = np.tile(np.arange(10.0, 0.0, -1.0), (4, 1))
  shares = evaluate([batch(logits, [0, 4, 5, 9], [1, 1, 1, 1])], {"raw": [0.0] * 10})
  np.testing.assert_allclose(shares["raw"]["top1"], 1 / 4)
  np.testing.assert_allclose(shares["raw"]["top5"], 2 / 4)


def test_a_prediction_that_is_no_number_is_wrong():
  logits = [[np.nan, np.nan], [1.0, 0.0]]
  shares = evaluate([batch(logits, [0, 0], [1, 1])], {"raw": [0.0, 0.0]})
  np.testing.assert_allclose(shares["raw"]["top1"], 1 / 2)


# Few values, so that many are equal, and one shape, so that it is compiled once.
VALUES = some.sampled_from([-3.0, 0.0, 0.5, 1.0, 1e30, np.nan, np.inf, -np.inf])


RANKS = jax.jit(evaluation.rank_of)
LARGEST = jax.jit(lambda logits: jax.lax.top_k(logits, logits.shape[-1])[1])


@hypothesis.given(
  logits=arrays.arrays(np.float32, (8, 6), elements=VALUES, fill=some.just(0.5)),
  labels=arrays.arrays(np.int32, 8, elements=some.integers(0, 5)),
)
def test_the_rank_of_a_label_is_its_place_among_the_largest(logits, labels):
  is_finite = np.isfinite(logits).all(axis=-1)
  place = np.argmax(LARGEST(logits) == labels[:, None], axis=-1)
  rank = RANKS(logits, labels)
  np.testing.assert_array_equal(rank, np.where(is_finite, place, 6))


def test_one_batch_equals_the_same_rows_over_many():
  rng = np.random.default_rng(0)
  logits, labels = rng.normal(size=(12, 10)), rng.integers(0, 10, 12)
  whole = evaluate([batch(logits, labels, np.ones(12))], {"raw": [0.0] * 10})
  parts = [batch(logits[i : i + 2], labels[i : i + 2], [1, 1]) for i in range(0, 12, 2)]
  pieces = evaluate(parts, {"raw": [0.0] * 10})
  assert jax.tree.map(lambda v: round(v, 5), whole) == jax.tree.map(
    lambda v: round(v, 5), pieces
  )


def predictions(batches):
  mesh = devices.make_mesh()
  counter = evaluation.make_counter(Readout(), mesh, examples=True)
  weights = {"raw": {"params": {"bias": jnp.zeros(3)}}}
  shares, examples = evaluation.evaluate_examples(counter, weights, batches, mesh)
  plain = evaluation.evaluate(counter, weights, batches, mesh)
  np.testing.assert_equal(shares, plain)
  return shares["raw"], examples["raw"]


def test_what_is_predicted_of_every_example_is_told_once_in_order_without_padding():
  # Processes may hand in their rows in any order.
  rows = [
    ([0.0, 2.0, 0.0], 1, 1, 3),
    ([5.0, 0.0, 0.0], 2, 1, 2),
    ([np.nan, 0.0, 0.0], 0, 1, 0),
    ([0.0, 0.0, 9.0], 2, 1, 1),
    ([0.0, 1.0, 0.0], 0, 1, 4),
    ([9.0, 0.0, 0.0], 0, 0, 5),
    ([-0.0, 0.0, -0.0], 0, 1, 6),
    ([1.0, 2.0, 2.0], 2, 1, 7),
  ]
  parts = [
    batch(*(list(column) for column in list(zip(*rows[i : i + 2], strict=True))[:3]))
    | {"position": np.uint32([row[3] for row in rows[i : i + 2]])}
    for i in (0, 2, 4, 6)
  ]
  shares, examples = predictions(parts)
  assert examples.position.tolist() == [0, 1, 2, 3, 4, 6, 7]
  assert examples.label.tolist() == [0, 2, 2, 1, 0, 0, 2]
  assert examples.predicted.tolist() == [-1, 2, 0, 1, 1, 0, 1]
  assert shares["top1"] == examples.is_right.mean()
  expected = np.exp(2.0) / (np.exp(2.0) + 2)
  np.testing.assert_allclose(examples.confidence[3], expected, rtol=1e-6)
  assert examples.confidence[0] == 0
