"""`compress(moments=)`: what layers make of examples is what is kept."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import neural_epitome as ne
from neural_epitome.compression import choices, hull, kernel_error
from neural_epitome.compression.storage import Storage
from neural_epitome.epitome.error_feedback import Inputs
from neural_epitome.epitome.generators import WindowedEpitome
from neural_epitome.errors import UserError

RANDOM = np.random.default_rng(0)


def correlated(count, size, seed=0):
  random = np.random.default_rng(seed)
  shared = random.normal(size=(count, 4)) @ random.normal(size=(4, size))
  return np.maximum(shared + random.normal(size=(count, size)), 0).astype(np.float32)


def moments_of(x):
  return x.T @ x / np.float32(len(x))


class Small(nn.Module):
  """Two kernels."""

  @nn.compact
  def __call__(self, x):
    """(batch, height, width, 16) -> (batch, 10)."""
    x = nn.relu(nn.Conv(24, (3, 3), name="conv")(x))
    return nn.Dense(10, name="dense")(jnp.mean(x, (1, 2)))


@pytest.mark.slow
def test_outputs_on_new_examples_are_nearer_in_as_many_bytes(tmp_path):
  model, x = Small(), correlated(2 * 32 * 36, 16).reshape(64, 6, 6, 16)
  tree = model.init(jax.random.key(0), x[:1])
  seen, new = x[:32], x[32:]
  moments = ne.input_moments(lambda batch: model.apply(tree, batch), [seen])
  plain = ne.compress(tree, "2200 B", quiet=True)
  fed = ne.compress(tree, "2200 B", moments=moments, quiet=True)
  fed.save(tmp_path / "fed.safetensors")
  size = (tmp_path / "fed.safetensors").stat().st_size
  assert size == fed.totals.stored_bytes <= 2200
  exact = model.apply(tree, new)

  def lost(small):
    return float(jnp.linalg.norm(model.apply(small.expand(small.compact), new) - exact))

  assert lost(fed) < 0.6 * lost(plain)
  again = ne.load_compressed(tmp_path / "fed.safetensors")
  assert lost(again) == pytest.approx(lost(fed), rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("is_coded", [True, False])
def test_what_is_stored_is_hardly_worse_than_comparing_said(is_coded):
  kernel = RANDOM.normal(size=(3, 3, 24, 40)).astype(np.float32)
  inputs = Inputs(moments_of(correlated(3000, 216)))
  storage = Storage(is_coded=is_coded)
  kept = hull.lower(choices.compare(kernel, storage, inputs))
  sizes, errors = [c.nbytes for c in kept], [c.error for c in kept]
  of_windows = [c for c in kept if isinstance(c.generator, WindowedEpitome)]
  assert of_windows
  for choice in of_windows[::3]:
    stored = choices.store(kernel, choice, storage, inputs)
    exact = stored.choice
    assert exact.error <= 1.15 * np.interp(exact.nbytes, sizes, errors) + 1e-9
    starts = {axis: value.astype(np.int32) for axis, value in stored.offsets.items()}
    made = exact.generator.generate(dict(stored.tensors), starts, kernel.shape)
    assert kernel_error.error(kernel, np.asarray(made), inputs) == pytest.approx(
      exact.error, rel=1e-3
    )


TREE = {"dense": {"kernel": RANDOM.normal(size=(8, 32)).astype(np.float32)}}
WRONG = {
  "shape": ({"dense/kernel": np.eye(7)}, r"must be of shape \[8, 8\]"),
  "finite": ({"dense/kernel": np.full((8, 8), np.nan)}, "not finite"),
  "symmetric": ({"dense/kernel": np.triu(np.ones((8, 8)))}, "must be symmetric"),
  "negative": ({"dense/kernel": -np.eye(8)}, "must be symmetric"),
  "name": ({"other": np.eye(8)}, "none of the kernels dense/kernel"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_moments_that_are_none_are_refused_in_a_line(kind):
  moments, match = WRONG[kind]
  with pytest.raises(UserError, match=match) as caught:
    ne.compress(TREE, "200 B", moments=moments, quiet=True)
  assert "\n" not in str(caught.value)


def test_moments_are_of_the_best_rule():
  with pytest.raises(UserError, match="rule='best'"):
    ne.compress(TREE, "2x", rule=ne.LowRankRule(), moments={"dense/kernel": np.eye(8)})
