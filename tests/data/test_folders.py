"""Folders of class folders: splits, slices and mistakes."""

import pathlib

import pytest

from neural_epitome.data import pipeline, sources
from neural_epitome.data.options import DataOptions
from neural_epitome.errors import UserError
from tests.data.helpers import write_class_folders


def test_a_folder_with_splits(tmp_path):
  write_class_folders(tmp_path / "train", {"b": 3, "a": 4})
  write_class_folders(tmp_path / "val" / "deeper", {})
  write_class_folders(tmp_path / "val", {"a": 1, "b": 2})
  options = DataOptions(dataset=str(tmp_path))
  train = sources.open_source(options, "train")
  assert train.classes == ("a", "b")
  assert sorted(train[i]["label"] for i in range(7)) == [0] * 4 + [1] * 3
  for split in ("test", "val", "validation"):
    assert len(sources.open_source(options, split)) == 3
  for index in range(7):
    assert pathlib.Path(train.describe(index)).read_bytes() == train[index]["image"]


def test_val_and_test_are_told_apart_where_both_are(tmp_path):
  for split, count in (("train", 5), ("val", 2), ("test", 3)):
    write_class_folders(tmp_path / split, {"a": count})
  options = DataOptions(dataset=str(tmp_path))
  assert [len(sources.open_source(options, s)) for s in ("train", "val", "test")] == [
    5,
    2,
    3,
  ]


def test_a_folder_without_splits_is_split_by_path(tmp_path):
  root = tmp_path / "one"
  write_class_folders(root, {"a": 80, "b": 70}, height=4, width=4)
  (root / "a" / "notes.txt").write_text("no image")
  splits = {}
  for split in ("train", "test"):
    source = sources.open_source(DataOptions(dataset=str(root)), split)
    splits[split] = {
      pathlib.Path(source.describe(i)).relative_to(root) for i in range(len(source))
    }
  assert not splits["train"] & splits["test"]
  assert len(splits["train"] | splits["test"]) == 150
  assert 4 <= len(splits["test"]) <= 28
  # An image stays in its split when others go and the folder moves.
  moved = root.rename(tmp_path / "two")
  for gone in range(30):
    (moved / "a" / f"{gone}.jpg").unlink()
  source = sources.open_source(DataOptions(dataset=str(moved)), "test")
  left = {
    pathlib.Path(source.describe(i)).relative_to(moved) for i in range(len(source))
  }
  assert left <= splits["test"]


def test_slices_of_a_folder_divide_it(tmp_path):
  write_class_folders(tmp_path / "train", {"a": 7, "b": 8}, height=4, width=4)
  options = DataOptions(dataset=str(tmp_path))
  (tmp_path / "test" / "a").mkdir(parents=True)

  def names(split):
    source = sources.open_source(options, split)
    return [source.describe(i) for i in range(len(source))]

  whole = names("train")
  assert names("train[:80%]") + names("train[80%:]") == whole
  assert names("train[:-3]") + names("train[-3:]") == whole
  assert names("train[2:5]") == whole[2:5]


def test_wrong_folders_are_refused(tmp_path):
  options = DataOptions(dataset=str(tmp_path))
  with pytest.raises(UserError, match="no class folders"):
    sources.open_source(options, "train")
  (tmp_path / "a").mkdir()
  with pytest.raises(UserError, match="empty"):
    sources.open_source(options, "train")
  with pytest.raises(UserError, match="must be train or test"):
    sources.open_source(options, "everything")
  write_class_folders(tmp_path / "train", {"a": 1})
  write_class_folders(tmp_path / "test", {"b": 1})
  with pytest.raises(UserError, match="class that the training split lacks"):
    sources.open_source(options, "test")


@pytest.mark.slow
def test_a_folder_that_changes_while_it_is_read_is_told_and_gives_no_wrong_label(
  tmp_path,
):
  for split in ("train", "test"):
    write_class_folders(tmp_path / split, {"b": 6, "c": 6})
  options = DataOptions(
    dataset=str(tmp_path), image_size=8, channels=3, batch_size=4, cache_megabytes=0
  )
  source = sources.open_source(options, "train")
  labels = {source.describe(i): source[i]["label"] for i in range(12)}
  with pipeline.training_batches(source, options, seed=0) as batches:
    next(batches)
    # A class that sorts before the others, and more of one there is: of neither epoch.
    write_class_folders(tmp_path / "train", {"a": 5, "b": 9})
    for _ in range(6):
      next(batches)
    assert {source.describe(i): source[i]["label"] for i in range(12)} == labels
    (tmp_path / "train" / "c").rename(tmp_path / "train" / "renamed")

    def read_on():
      for _ in range(12):
        next(batches)

    with pytest.raises(
      UserError, match=r"c/\d\.jpg is gone since the folder"
    ) as caught:
      read_on()
  assert "\n" not in str(caught.value)
  # The next start sees other classes, which a run that began before refuses.
  assert sources.open_source(options, "train").classes == ("a", "b", "renamed")
