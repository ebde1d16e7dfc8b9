"""Order and augmentation are pure functions of the seed and the position."""

import dataclasses
import itertools
import threading
import time

import numpy as np
import pytest

from neural_epitome.data import images as image_examples
from neural_epitome.data import pipeline
from neural_epitome.data.options import Augmentation, DataOptions
from neural_epitome.data.sources import open_source
from neural_epitome.errors import UserError
from tests.data.helpers import ArraySource, encoded, smooth_picture, write_class_folders

STRONG = Augmentation(
  minimum_area=0.3, flip=True, color_jitter=0.4, policy="randaugment"
)


def _options(**changes) -> DataOptions:
  plain = {"image_size": 8, "batch_size": 4, "threads": 1, "mean": (0.0,)}
  plain |= {"std": (1 / 255,), "augmentation": Augmentation()}
  return DataOptions(**(plain | changes))


def _take(count, source, options, **arguments):
  with pipeline.training_batches(source, options, **arguments) as batches:
    return list(itertools.islice(batches, count))


def _assert_equal(first, second):
  assert len(first) == len(second)
  for one, other in zip(first, second, strict=True):
    assert one.keys() == other.keys()
    for key in one:
      np.testing.assert_array_equal(one[key], other[key], strict=True)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
  root = tmp_path_factory.mktemp("photographs")
  write_class_folders(root, {"cat": 9, "dog": 8})
  options = _options(
    dataset=str(root), channels=3, image_size=16, augmentation=STRONG, batch_size=6
  )
  return open_source(options, "train"), options


def test_batches_have_the_promised_form(photographs):
  source, options = photographs
  (batch,) = _take(1, source, options, seed=0)
  assert batch["image"].shape == (6, 16, 16, 3)
  assert batch["image"].dtype == np.float32
  assert batch["label"].dtype == np.int32
  assert batch["position"].dtype == np.uint32
  np.testing.assert_array_equal(batch["position"], np.arange(6))


@pytest.mark.parametrize("count", [1, 2, 3, 10, 37])
def test_every_epoch_holds_each_example_once_in_an_order_of_its_own(count):
  batches = _take(4 * count, ArraySource(count), _options(), seed=3)
  seen = np.concatenate([b["image"][:, 0, 0, 0] for b in batches])
  labels = np.concatenate([b["label"] for b in batches])
  epochs = seen[: 4 * 4 * count].reshape(-1, count).round().astype(int)
  np.testing.assert_array_equal(np.sort(epochs, 1), np.tile(np.arange(count), (16, 1)))
  np.testing.assert_array_equal(labels, seen.round() % 2)
  if count >= 10:
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 16


def test_four_two_and_one_process_in_turn_read_each_image_once_an_epoch():
  # 25.1 steps an epoch; the sessions end in the midst of one.
  source, options = ArraySource(201), _options(batch_size=8)
  sessions, ids, positions = [(4, 0, 7), (2, 7, 16), (1, 16, 51)], [], []
  for processes, start, stop in sessions:
    arguments = {"seed": 3, "start_step": start, "process_count": processes}
    parts = [
      _take(stop - start, source, options, process_index=p, **arguments)
      for p in range(processes)
    ]
    for step in zip(*parts, strict=True):
      shards = [batch["image"][:, 0, 0, 0].round().astype(int) for batch in step]
      ids.extend(np.concatenate(shards).tolist())
      positions.extend(np.concatenate([b["position"] for b in step]).tolist())
  assert positions == list(range(8 * 51))
  for epoch in (ids[:201], ids[201:402]):
    assert sorted(epoch) == list(range(201)), "an image twice, or none"
  whole = _take(51, source, options, seed=3)
  whole = np.concatenate([b["image"][:, 0, 0, 0] for b in whole]).round().astype(int)
  assert ids == whole.tolist()


def test_seeds_next_to_each_other_share_no_epoch():
  orders = set()
  for seed in range(4):
    batches = _take(10, ArraySource(8), _options(), seed=seed)
    seen = np.concatenate([b["image"][:, 0, 0, 0] for b in batches])
    orders |= {tuple(epoch) for epoch in seen.reshape(5, 8).tolist()}
  assert len(orders) == 20


def test_going_on_from_any_step_gives_the_same_bits(photographs):
  source, options = photographs
  whole = _take(9, source, options, seed=5)
  for step in range(1, 9):
    rest = _take(9 - step, source, options, seed=5, start_step=step)
    _assert_equal(rest, whole[step:])


def test_an_example_is_augmented_anew_each_epoch(photographs):
  source, options = photographs
  views = [b["image"] for b in _take(6, source, options, seed=1)]
  views = np.concatenate(views)[: 2 * len(source)]
  assert len({view.tobytes() for view in views}) == len(views)


@pytest.mark.parametrize("processes", [2, 3])
def test_the_rows_of_all_processes_are_the_batch_of_one(photographs, processes):
  source, options = photographs
  whole = _take(5, source, options, seed=2, start_step=1)
  parts = [
    _take(
      5,
      source,
      options,
      seed=2,
      start_step=1,
      process_index=index,
      process_count=processes,
    )
    for index in range(processes)
  ]
  joined = [
    {key: np.concatenate([part[key] for part in step]) for key in step[0]}
    for step in zip(*parts, strict=True)
  ]
  _assert_equal(joined, whole)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"threads": 3}, {"workers": 2, "threads": 2}])
def test_threads_and_workers_change_nothing(photographs, changes):
  source, options = photographs
  parallel = dataclasses.replace(options, **changes)
  _assert_equal(_take(7, source, parallel, seed=4), _take(7, source, options, seed=4))


def test_what_is_kept_in_memory_comes_out_the_same_every_time(photographs):
  source, options = photographs
  first = _take(12, source, options, seed=6)
  resumed = _take(3, source, options, seed=6, start_step=9)
  _assert_equal(resumed, first[9:])
  uncached = dataclasses.replace(options, cache_megabytes=0)
  _assert_equal(
    _take(3, source, uncached, seed=6, start_step=9),
    _take(12, source, uncached, seed=6)[9:],
  )


def test_no_more_is_kept_in_memory_than_allowed():
  class Growing(ArraySource):
    """Its first pictures are small, the others are not."""

    def __getitem__(self, index):
      size = 8 if index % 20 == 0 else 512
      return {"image": np.zeros((size, size, 1), np.uint8), "label": 0}

  kept = image_examples.Examples(Growing(320), _options(cache_megabytes=1))
  for index in range(320):
    kept[index]
  stored = sum(example["image"].nbytes for example in kept._kept.values())
  assert 2**19 < stored <= 2**20
  nothing = image_examples.Examples(Growing(320), _options(cache_megabytes=0))
  assert nothing[0]["image"].shape == (8, 8, 1)
  assert not nothing._kept


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("count", [1, 7, 8, 9])
def test_evaluation_sees_each_example_once_and_masks_the_rest(count, processes):
  options = _options(evaluation_batch_size=4)
  source = ArraySource(count)
  shards = []
  for index in range(processes):
    with pipeline.evaluation_batches(
      source, options, process_index=index, process_count=processes
    ) as batches:
      shards.append(list(batches))
  assert {len(shard) for shard in shards} == {-(-count // 4)}
  rows = [batch for shard in shards for batch in shard]
  mask = np.concatenate([b["mask"] for b in rows])
  images = np.concatenate([b["image"] for b in rows])
  position = np.concatenate([b["position"] for b in rows])
  assert mask.dtype == np.float32
  assert mask.sum() == count
  assert not images[mask == 0].any()
  np.testing.assert_array_equal(np.sort(position[mask == 1]), np.arange(count))
  np.testing.assert_allclose(images[mask == 1, 0, 0, 0], position[mask == 1], atol=1e-4)


def test_evaluation_does_not_depend_on_the_batch_size(photographs):
  source, options = photographs
  results = []
  for size in (1, 5, 100):
    sized = dataclasses.replace(options, evaluation_batch_size=size)
    with pipeline.evaluation_batches(source, sized) as batches:
      rows = list(batches)
    images = np.concatenate([b["image"] for b in rows])
    results.append(images[np.concatenate([b["mask"] for b in rows]) == 1])
  np.testing.assert_array_equal(results[0], results[1])
  np.testing.assert_array_equal(results[0], results[2])


def test_normalising_is_what_it_says():
  images = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
  options = _options(channels=3, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.1))
  expected = (images / 255 - np.array(options.mean)) / np.array(options.std)
  np.testing.assert_allclose(
    image_examples.normalise(images, options), expected, atol=1e-5
  )


def test_flips_take_half_of_the_images():
  class Slope(ArraySource):
    def __getitem__(self, index):
      ramp = np.tile(np.arange(8, dtype=np.uint8)[:, None], (8, 1, 1))
      return {"image": ramp, "label": 0}

  options = _options(augmentation=Augmentation(flip=True), batch_size=400)
  (batch,) = _take(1, Slope(400), options, seed=0)
  flipped = batch["image"][:, 0, 0, 0] > batch["image"][:, 0, -1, 0]
  assert 160 < flipped.sum() < 240


def test_grey_sources_fill_three_channels_and_the_other_way_round():
  (batch,) = _take(1, ArraySource(6), _options(channels=3), seed=0)
  assert batch["image"].shape == (4, 8, 8, 3)
  assert (batch["image"][..., 0] == batch["image"][..., 2]).all()
  (batch,) = _take(1, ArraySource(6, channels=3), _options(), seed=0)
  assert batch["image"].shape == (4, 8, 8, 1)


def test_load_file_prepares_as_evaluation_does(photographs):
  source, options = photographs
  options = dataclasses.replace(options, crop_fraction=0.8)
  with pipeline.evaluation_batches(source, options) as batches:
    images = np.concatenate([b["image"] for b in batches])
  for index in range(len(source)):
    image = pipeline.load_file(source.describe(index), options)
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, images[index])


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "cache"), [(0, 0), (0, 256), (1, 0)])
def test_a_broken_image_is_named_where_none_is_allowed(tmp_path, workers, cache):
  write_class_folders(tmp_path / "train", {"a": 3, "b": 3})
  (tmp_path / "train" / "b" / "broken.jpg").write_bytes(
    encoded(smooth_picture(0, 40, 40))[:400]
  )
  options = _options(
    dataset=str(tmp_path),
    channels=3,
    workers=workers,
    cache_megabytes=cache,
    maximum_bad_examples=0,
  )
  source = open_source(options, "train[:100%]")
  with pytest.raises(UserError, match=r"broken\.jpg cannot be decoded"):
    _take(2, source, options, seed=0)
  if workers:
    return
  with (
    pytest.raises(UserError, match=r"broken\.jpg cannot be decoded"),
    pipeline.evaluation_batches(source, options) as batches,
  ):
    list(batches)
  with pytest.raises(UserError, match=r"broken\.jpg cannot be decoded"):
    pipeline.load_file(tmp_path / "train" / "b" / "broken.jpg", options)
  with pytest.raises(UserError, match=r"absent\.jpg cannot be read"):
    pipeline.load_file(tmp_path / "absent.jpg", options)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"batch_size": 5}, "multiple of the number of processes, 2"),
    ({"mean": (0.1, 0.2)}, r"data\.mean has 2 values"),
    ({"crop_fraction": 1.5}, "crop_fraction=1.5"),
    ({"augmentation": Augmentation(minimum_area=0.5, padding=2)}, "two ways to crop"),
    ({"augmentation": Augmentation(minimum_area=0.0)}, "minimum_area=0.0"),
  ],
)
def test_options_that_cannot_be_are_refused(changes, message):
  with pytest.raises(UserError, match=message):
    pipeline.training_batches(
      ArraySource(4), _options(**changes), seed=0, process_count=2
    )


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_closing_ends_threads_and_processes(workers):
  import multiprocessing

  before = set(threading.enumerate())
  options = _options(threads=3, workers=workers)
  batches = pipeline.training_batches(ArraySource(50), options, seed=0)
  next(batches)
  batches.close()
  batches.close()
  deadline = time.monotonic() + 20
  while time.monotonic() < deadline:
    left = set(threading.enumerate()) - before
    if not left and not multiprocessing.active_children():
      break
    time.sleep(0.05)
  assert not left
  assert not multiprocessing.active_children()
