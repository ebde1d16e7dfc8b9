import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_epitome.models import functions


@pytest.mark.parametrize(
  ("channels", "rounded"),
  [(32, 32), (24 * 1.1, 24), (16 * 0.35, 8), (96 * 0.35, 32), (11, 16), (1792, 1792)],
)
def test_make_divisible_is_the_published_rounding(channels, rounded):
  assert functions.make_divisible(channels) == rounded


def test_dropout_keeps_the_mean_and_the_rate():
  x = jnp.ones((64, 400))
  keys = jax.random.split(jax.random.key(0), 64)
  y = np.asarray(functions.dropout(x, keys, rate=0.25, train=True))
  assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
  # 25,600 draws: one percent is nearly four standard deviations.
  assert abs((y == 0).mean() - 0.25) < 0.01
  assert len({row.tobytes() for row in y}) == 64


def test_masks_are_invariant_to_the_cut_of_the_batch_and_differ_by_layer():
  x = jnp.ones((8, 16))
  keys = jax.random.split(jax.random.key(0), 8)

  def run(part, layer=0):
    options = {"rate": 0.5, "train": True, "layer": layer}
    return np.asarray(functions.dropout(x[part], keys[part], **options))

  halves = [run(slice(0, 4)), run(slice(4, 8))]
  np.testing.assert_array_equal(run(slice(0, 8)), np.concatenate(halves))
  assert np.any(run(slice(0, 8)) != run(slice(0, 8), layer=1))


def test_drop_path_drops_whole_examples():
  x = jnp.ones((32, 2, 2, 3))
  keys = jax.random.split(jax.random.key(0), 32)
  y = np.asarray(functions.drop_path(x, keys, rate=0.5, train=True, layer=3))
  values = {tuple(np.unique(example)) for example in y}
  assert values == {(0.0,), (2.0,)}


def test_nothing_is_dropped_in_evaluation_or_at_rate_zero():
  x = jnp.ones((2, 3))
  assert functions.dropout(x, None, rate=0.5, train=False) is x
  assert functions.drop_path(x, None, rate=0.0, train=True, layer=1) is x
