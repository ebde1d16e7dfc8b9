"""Signals: cut, padded, normalised, and changed by (seed, position) alone."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural_epitome.data import pipeline, signals
from neural_epitome.data.options import SignalAugmentation, SignalOptions
from neural_epitome.errors import UserError

STRONG = SignalAugmentation(
  random_crop=True, shift=0.1, speed=0.3, flip=True, gain=6.0, noise=0.2
)
PLAIN = SignalOptions(length=32, batch_size=4, evaluation_batch_size=4, threads=2)


class Chirps:
  """Signals in memory, of lengths around that of the input."""

  classes = ("even", "odd")
  kind = "signal"

  def __init__(self, count: int, channels: int = 1):
    self.count, self.channels = count, channels

  def __len__(self) -> int:
    return self.count

  def __getitem__(self, index: int):
    time = np.arange(20 + 3 * index)[:, None] + np.arange(self.channels)
    signal = np.round(9000 * np.sin((1 + index) * time / 7)).astype(np.int16)
    return {"signal": signal, "label": index % 2}

  def describe(self, index: int) -> str:
    return f"chirp {index}"


def _take(count, source, options, **arguments):
  with pipeline.training_batches(source, options, **arguments) as batches:
    return list(itertools.islice(batches, count))


def _assert_equal(first, second):
  assert len(first) == len(second)
  for one, other in zip(first, second, strict=True):
    assert one.keys() == other.keys()
    for key in one:
      np.testing.assert_array_equal(one[key], other[key], strict=True)


@given(
  samples=st.integers(1, 40), length=st.integers(1, 40), start=st.integers(-60, 60)
)
def test_a_sample_lies_where_it_should_and_all_else_is_zero(samples, length, start):
  signal = np.arange(1, samples + 1, dtype=np.float32)[:, None]
  placed = signals.place(signal, length, start)
  expected = [
    signal[i, 0] if 0 <= i < samples else 0 for i in range(start, start + length)
  ]
  np.testing.assert_array_equal(placed[:, 0], expected)


@pytest.mark.parametrize(
  ("samples", "anchor", "expected"),
  [
    (6, "start", [1, 2, 3, 4]),
    (6, "centre", [2, 3, 4, 5]),
    (2, "start", [1, 2, 0, 0]),
    (2, "centre", [0, 1, 2, 0]),
    (4, "centre", [1, 2, 3, 4]),
  ],
)
def test_evaluation_cuts_and_pads_at_the_anchor(samples, anchor, expected):
  options = SignalOptions(length=4, anchor=anchor, normalisation="none")
  signal = np.arange(1, samples + 1, dtype=np.float32)[:, None]
  np.testing.assert_array_equal(signals.view(signal, options)[:, 0], expected)


@given(
  seed=st.integers(0, 2**32 - 1),
  kind=st.sampled_from(["peak", "rms"]),
  padded=st.booleans(),
)
def test_normalised_signals_do_not_depend_on_their_scale(seed, kind, padded):
  noise = np.random.default_rng(seed).normal(size=(20, 2)).astype(np.float32)
  options = SignalOptions(length=30 if padded else 16, channels=2, normalisation=kind)
  view = signals.view(noise, options)
  np.testing.assert_allclose(signals.view(noise * 1e-6, options), view, rtol=1e-5)
  level = (
    np.abs(view).max() if kind == "peak" else np.sqrt((view[view != 0] ** 2).mean())
  )
  assert level == pytest.approx(1, rel=1e-5)


def test_silence_stays_silence():
  for kind in ("peak", "rms", "none"):
    options = SignalOptions(length=8, normalisation=kind)
    assert not signals.view(np.zeros((5, 1), np.int16), options).any()


def test_sixteen_bit_samples_are_fractions_of_full_scale():
  options = SignalOptions(length=2, normalisation="none")
  view = signals.view(np.int16([[-32768], [16384]]), options)
  np.testing.assert_array_equal(view, np.float32([[-1.0], [0.5]]), strict=True)


def test_a_change_of_speed_moves_pitch_and_length_alike():
  time = np.arange(1000)
  slow = np.sin(time / 20).astype(np.float32)[:, None]
  fast = signals.change_speed(slow, 1.25)
  assert fast.shape == (800, 1)
  np.testing.assert_allclose(fast[:, 0], np.sin(1.25 * time[:800] / 20), atol=1e-3)
  np.testing.assert_array_equal(signals.change_speed(slow, 1.0), slow)


def test_batches_have_the_promised_form():
  options = dataclasses.replace(PLAIN, channels=2, augmentation=STRONG)
  (batch,) = _take(1, Chirps(9, channels=2), options, seed=0)
  assert batch["image"].shape == (4, *options.input_shape) == (4, 32, 2)
  assert batch["image"].dtype == np.float32
  assert batch["label"].dtype == np.int32
  np.testing.assert_array_equal(batch["position"], np.arange(4, dtype=np.uint32))


def test_without_augmentation_training_sees_what_evaluation_sees():
  source = Chirps(8)
  train = _take(2, source, PLAIN, seed=1)
  with pipeline.evaluation_batches(source, PLAIN) as batches:
    seen = np.concatenate([batch["image"] for batch in batches])
  trained = np.concatenate([batch["image"] for batch in train])
  assert {row.tobytes() for row in trained} == {row.tobytes() for row in seen}
  for index in range(8):
    view = signals.view(source[index]["signal"], PLAIN)
    np.testing.assert_array_equal(seen[index], view)


@pytest.mark.parametrize("cache", [0, 1])
def test_going_on_from_any_step_gives_the_same_bits(cache):
  options = dataclasses.replace(PLAIN, augmentation=STRONG, cache_megabytes=cache)
  source = Chirps(7)
  whole = _take(6, source, options, seed=5)
  for step in range(1, 6):
    rest = _take(6 - step, source, options, seed=5, start_step=step)
    _assert_equal(rest, whole[step:])
  one_thread = dataclasses.replace(options, threads=1)
  _assert_equal(_take(6, source, one_thread, seed=5), whole)
  views = np.concatenate([batch["image"] for batch in whole])
  assert len({view.tobytes() for view in views}) == len(views)


def test_processes_share_out_one_global_batch():
  options = dataclasses.replace(PLAIN, augmentation=STRONG)
  whole = _take(3, Chirps(7), options, seed=2)
  parts = [
    _take(3, Chirps(7), options, seed=2, process_index=p, process_count=2)
    for p in range(2)
  ]
  for batch, *halves in zip(whole, *parts, strict=True):
    for key in batch:
      joined = np.concatenate([half[key] for half in halves])
      np.testing.assert_array_equal(joined, batch[key])


def test_evaluation_gives_each_example_once_and_masks_the_rest():
  with pipeline.evaluation_batches(Chirps(6), PLAIN) as batches:
    first, second = batches
  np.testing.assert_array_equal(first["mask"], np.ones(4, np.float32))
  np.testing.assert_array_equal(second["mask"], np.float32([1, 1, 0, 0]))
  assert not second["image"][2:].any()
  np.testing.assert_array_equal(second["label"][:2], [0, 1])


def _augmented(signal, count=300, **changes):
  """Many random views of one signal, normalised by nothing."""
  options = dataclasses.replace(
    PLAIN, normalisation="none", augmentation=SignalAugmentation(**changes)
  )
  augment = signals.Augment(Chirps(1), options)
  example = {"signal": signal, "label": 0, "index": 0}
  draws = [augment(example, np.random.default_rng(i)) for i in range(count)]
  return np.stack([draw["signal"] for draw in draws])[..., 0]


@pytest.mark.parametrize("samples", [30, 34])
def test_random_crops_reach_every_place_and_no_other(samples):
  signal = np.arange(1, samples + 1, dtype=np.float32)[:, None]
  views = _augmented(signal, random_crop=True)
  expected = {
    signals.place(signal, 32, start).tobytes()
    for start in range(min(0, samples - 32), max(0, samples - 32) + 1)
  }
  assert {view.tobytes() for view in views} == expected


def test_shifts_are_bounded_and_go_both_ways():
  signal = np.zeros((32, 1), np.float32)
  signal[16] = 1
  places = np.argmax(_augmented(signal, shift=0.1), axis=1)
  assert set(places) == set(range(13, 20))


def test_half_of_the_signals_are_turned_over():
  signal = np.arange(1, 33, dtype=np.float32)[:, None]
  views = _augmented(signal, flip=True)
  signs = views[:, 0]
  np.testing.assert_array_equal(views, signs[:, None] * signal[:, 0])
  assert 0.4 < (signs == -1).mean() < 0.6


def test_gain_is_in_decibels_around_none():
  views = _augmented(np.ones((32, 1), np.float32), count=3000, gain=6.0)
  decibels = 20 * np.log10(views[:, 0])
  assert -6 <= decibels.min() < -5.5
  assert 5.5 < decibels.max() <= 6
  assert abs(decibels.mean()) < 0.3


def test_noise_is_relative_to_the_signal():
  for scale in (1e-3, 10.0):
    signal = np.full((32, 1), scale, np.float32)
    noise = _augmented(signal, noise=0.5) / scale - 1
    # A level uniform in [0, 0.5] has a mean square of 0.25 / 3.
    assert noise.std() == pytest.approx(np.sqrt(0.25 / 3), rel=0.1)


def test_sound_files_are_prepared_as_evaluation_does(tmp_path):
  soundfile = pytest.importorskip("soundfile")
  path = tmp_path / "chirp.wav"
  signal = Chirps(1)[0]["signal"]
  soundfile.write(path, signal, 16000)
  options = dataclasses.replace(PLAIN, sample_rate=16000)
  loaded = pipeline.load_file(path, options)
  np.testing.assert_allclose(loaded, signals.view(signal, options), atol=1e-6)
  (tmp_path / "broken.wav").write_bytes(b"x")
  with pytest.raises(UserError, match=r"broken\.wav cannot be read as sound"):
    pipeline.load_file(tmp_path / "broken.wav", options)
  with pytest.raises(UserError, match="takes no sound files"):
    pipeline.load_file(path, PLAIN)


@pytest.mark.parametrize(
  ("changes", "words"),
  [
    ({"length": 0}, "length=0"),
    ({"augmentation": SignalAugmentation(shift=2.0)}, "shift=2.0"),
    ({"augmentation": SignalAugmentation(speed=-0.1)}, "speed=-0.1"),
    ({"augmentation": SignalAugmentation(noise=float("nan"))}, "noise=nan"),
  ],
)
def test_options_out_of_range_are_named(changes, words):
  with pytest.raises(UserError, match=words):
    _take(1, Chirps(4), dataclasses.replace(PLAIN, **changes), seed=0)


def test_the_wrong_number_of_channels_is_named():
  with pytest.raises(UserError, match=r"chirp \d has 2 channels"):
    _take(1, Chirps(4, channels=2), PLAIN, seed=0)
