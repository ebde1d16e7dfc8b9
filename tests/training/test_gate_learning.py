"""When gates learn beside the weights, and from which batches."""

import contextlib
import itertools

import numpy as np
import pytest

from neural_epitome.training import gate_learning, gate_step
from neural_epitome.training.setup import prepare
from tests.search.nse_tiny import CONFIG


@pytest.fixture(scope="module")
def setting():
  setup = prepare(CONFIG)
  return setup, gate_step.of(CONFIG, len(setup.classes))


def batches(setting, done, steps):
  """By the number of a step, the images that the gates learned from after it."""
  setup, gates = setting
  learned = {}

  def learn(state, batch):
    learned[state] = np.asarray(batch["image"])
    return state

  with gate_learning.learning(gates, learn, setup, done) as after:
    for step in range(done + 1, steps + 1):
      assert after(step, step) == step
  return learned


def test_they_learn_after_every_second_step_whenever_a_run_goes_on(setting):
  whole = batches(setting, 0, 7)
  assert list(whole) == [1, 3, 5, 7]
  for done in (1, 2, 3, 4):
    rest = batches(setting, done, 7)
    assert list(rest) == [step for step in whole if step > done]
    for step, image in rest.items():
      np.testing.assert_array_equal(image, whole[step])


def test_they_see_images_that_the_weights_do_not(setting):
  setup, _ = setting
  with contextlib.closing(setup.feed.choosing(0)) as stream:
    seen = [batch["label"] for batch in itertools.islice(stream, 4)]
  with contextlib.closing(setup.feed.evaluation()) as stream:
    held_out = [batch["label"] for batch in stream]
  # One pass over the 64 images that are held out.
  assert sorted(np.concatenate(seen)) == sorted(np.concatenate(held_out))


def test_a_run_without_gates_goes_on_as_it_was(setting):
  with gate_learning.learning(None, None, setting[0], 0) as after:
    assert after(1, "state") == "state"
