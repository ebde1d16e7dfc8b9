"""Images that cannot be decoded, and record files that are damaged."""

import dataclasses
import itertools
import os

import numpy as np
import pytest

from neural_epitome.data import array_records, pipeline
from neural_epitome.data.bad_examples import BadExamples
from neural_epitome.data.options import Augmentation, DataOptions
from neural_epitome.data.sources import open_source
from neural_epitome.errors import UserError
from tests.data.helpers import encoded, smooth_picture

COUNT, BAD = 12, (3, 4, 9)  # these labels


@pytest.fixture(scope="module")
def options(tmp_path_factory):
  """Twelve pictures with labels of their own, three of them cut short."""
  root = tmp_path_factory.mktemp("tfds")
  rows = []
  for index in range(COUNT):
    data = encoded(smooth_picture(index, 24, 24), quality=100)
    rows.append((data[: 300 if index in BAD else None], index))
  splits, classes = {"train": rows, "test": rows}, [f"c{i}" for i in range(COUNT)]
  array_records.write_prepared(root, "toy", splits, classes, encoding="jpeg")
  augmentation = Augmentation(minimum_area=0.5, flip=True)
  return DataOptions(
    dataset="toy",
    data_dir=str(root),
    image_size=16,
    channels=3,
    batch_size=4,
    evaluation_batch_size=6,
    threads=2,
    cache_megabytes=0,
    augmentation=augmentation,
  )


def _labels(split):
  """Labels in the order in which TFDS shuffled them."""
  return [split[index]["label"] for index in range(COUNT)]


def _take(options, count, **more):
  source = open_source(options, "train")
  with pipeline.training_batches(source, options, seed=0, **more) as batches:
    return list(itertools.islice(batches, count))


@pytest.mark.parametrize("cache", [0, 256])
def test_a_neighbour_takes_the_place_of_a_bad_example(options, cache, capfd):
  options = dataclasses.replace(options, cache_megabytes=cache)
  bad = BadExamples(options.maximum_bad_examples)
  batches = _take(options, 6, bad=bad)
  labels = _labels(open_source(options, "train"))
  assert {labels[index] for index in bad.indices} == set(BAD)
  assert {batch["image"].shape for batch in batches} == {(4, 16, 16, 3)}
  expected = []
  for index in range(COUNT):
    while labels[index] in BAD:
      index = (index + 1) % COUNT
    expected.append(labels[index])
  for epoch in (batches[:3], batches[3:]):
    assert sorted(np.concatenate([b["label"] for b in epoch])) == sorted(expected)
  # Named once, not once an epoch.
  errors = capfd.readouterr().err
  for index in bad.indices:
    assert errors.count(f"Skipped: example {index} of toy train cannot be decoded") == 1


def test_resuming_and_more_processes_give_the_same_rows(options):
  whole = _take(options, 6)
  resumed = _take(options, 2, start_step=4)
  parts = [_take(options, 6, process_index=p, process_count=2) for p in (0, 1)]
  for name in ("image", "label", "position"):
    np.testing.assert_array_equal(resumed[0][name], whole[4][name])
    for step in range(6):
      rows = np.concatenate([part[step][name] for part in parts])
      np.testing.assert_array_equal(rows, whole[step][name])


def test_one_more_than_allowed_ends_the_run(options):
  allowed = dataclasses.replace(options, maximum_bad_examples=3)
  _take(allowed, 6)
  short = dataclasses.replace(options, maximum_bad_examples=2)
  with pytest.raises(UserError, match=r"of toy train .*maximum_bad_examples=2;"):
    _take(short, 6)
  # Those of an earlier session count.
  with pytest.raises(UserError, match="maximum_bad_examples=3"):
    _take(allowed, 6, bad=BadExamples(3, known=[0]))


def test_those_of_other_processes_count_once_and_are_not_named_again(capfd):
  bad = BadExamples(3, known=[0])
  bad.note({4: "four"})
  assert bad.untold == {4}
  bad.merge([4, 7])
  bad.note({7: "seven"})
  assert not bad.untold
  assert bad.indices == {0, 4, 7}
  assert capfd.readouterr().err.strip() == "Skipped: four."
  with pytest.raises(UserError, match=r"^5 examples .* more than .*_bad_examples=3;"):
    bad.merge([1, 2])


def test_evaluation_masks_bad_examples(options):
  source, bad = open_source(options, "test"), BadExamples(3)
  with pipeline.evaluation_batches(source, options, bad=bad) as stream:
    batches = list(stream)
  mask = np.concatenate([batch["mask"] for batch in batches])
  labels = _labels(source)
  assert {labels[index] for index in np.flatnonzero(mask == 0)} == set(BAD)
  assert {labels[index] for index in bad.indices} == set(BAD)
  assert not np.concatenate([batch["image"] for batch in batches])[mask == 0].any()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_a_truncated_record_file_is_named_in_one_line(workers, tmp_path):
  rows = [(encoded(smooth_picture(i, 90, 90), quality=100), 0) for i in range(20)]
  folder = array_records.write_prepared(
    tmp_path, "toy", {"train": rows}, ["a"], encoding="jpeg"
  )
  (file,) = folder.glob("*.array_record*")
  options = DataOptions(
    dataset="toy",
    data_dir=str(tmp_path),
    batch_size=4,
    workers=workers,
    cache_megabytes=0,
  )

  def read():
    source = open_source(options, "train")
    if not workers:
      os.truncate(file, file.stat().st_size // 2)
    with pipeline.training_batches(source, options, seed=0) as batches:
      if workers:
        # It is whole when the run begins; the worker process opens it only now.
        os.truncate(file, file.stat().st_size // 2)
      next(batches)

  with pytest.raises(UserError, match=f"{file.name} is truncated or damaged") as caught:
    read()
  assert "\n" not in str(caught.value)
  file.unlink()
  with pytest.raises(UserError, match=f"{file.name} is missing"):
    open_source(options, "train")
