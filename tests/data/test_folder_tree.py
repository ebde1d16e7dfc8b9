"""Folders as people have them are read as they mean them, or refused in a line."""

import os
import pathlib
import unicodedata

import pytest

from neural_epitome.data import sources
from neural_epitome.data.options import DataOptions
from neural_epitome.errors import UserError
from tests.data.helpers import write_class_folders

BOTH = {"cat": 4, "dog": 5}


def opened(folder, split="train"):
  return sources.open_source(DataOptions(dataset=str(folder)), split)


@pytest.mark.parametrize("train", ["train", "Train", "TRAIN", "training", "Training"])
@pytest.mark.parametrize("test", ["test", "Test", "VAL", "Valid", "validation"])
def test_splits_are_known_in_letters_of_any_size(tmp_path, train, test):
  write_class_folders(tmp_path / train, BOTH, height=4, width=4)
  write_class_folders(tmp_path / test, {"cat": 1}, height=4, width=4)
  assert len(opened(tmp_path)) == 9
  assert len(opened(tmp_path, "test")) == 1
  assert opened(tmp_path, "test").classes == ("cat", "dog")


@pytest.mark.parametrize("split", ["", "train"])
@pytest.mark.parametrize("around", ["photos", "photos/photos"])
def test_a_folder_around_all_is_looked_into(tmp_path, around, split):
  inner = tmp_path / "data" / around / split
  write_class_folders(inner, BOTH, height=4, width=4)
  (tmp_path / "data" / "__MACOSX" / "photos" / "cat").mkdir(parents=True)
  pair = [opened(tmp_path / "data", s) for s in ("train[:]", "test[:]")]
  assert pair[0].classes == ("cat", "dog")
  # Where an image lies among the splits does not depend on what is around it.
  plain = [opened(inner, s) for s in ("train[:]", "test[:]")]
  assert [s.digest() for s in pair] == [s.digest() for s in plain]


def test_a_folder_around_the_classes_of_a_split_is_looked_into(tmp_path):
  write_class_folders(tmp_path / "train" / "train", BOTH)
  write_class_folders(tmp_path / "test" / "x", {"dog": 2})
  assert opened(tmp_path).classes == ("cat", "dog")
  assert [opened(tmp_path, "test")[i]["label"] for i in range(2)] == [1, 1]


def test_what_systems_leave_is_neither_class_nor_image(tmp_path):
  write_class_folders(tmp_path / "train", BOTH)
  write_class_folders(tmp_path / "test", {"cat": 1})
  image = (tmp_path / "test/cat/0.jpg").read_bytes()
  for name in (
    "__MACOSX/cat/._0.jpg",
    "cat/._0.jpg",
    "cat/.DS_Store",
    "cat/Thumbs.db",
    "cat/.thumbnails/1.jpg",
    ".ipynb_checkpoints/0.jpg",
    "@eaDir/0.jpg",
    "desktop.ini",
  ):
    path = tmp_path / "train" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(image)
  source = opened(tmp_path)
  assert source.classes == ("cat", "dog")
  assert len(source) == 9
  assert not source.notes


def test_what_is_left_out_is_counted_and_said(tmp_path):
  write_class_folders(tmp_path / "train", BOTH)
  write_class_folders(tmp_path / "val", {"cat": 1})
  image = (tmp_path / "val/cat/0.jpg").read_bytes()
  train = tmp_path / "train"
  (train / "emu").mkdir()
  for name in ("cat/1.gif", "cat/2.GIF", "dog/notes.txt", "cat/README", "loose.jpg"):
    (train / name).write_bytes(image)
  source = opened(tmp_path)
  assert source.classes == ("cat", "dog")
  notes = "\n".join(source.notes)
  assert "4 files are not read as images (.gif 2, " in notes
  assert ".txt 1" in notes
  assert "1 images lie beside the class folders" in notes
  assert "without images, which are no classes: 'emu'" in notes


def test_a_test_folder_of_loose_images_leaves_the_split_to_the_hash(tmp_path):
  write_class_folders(tmp_path / "train", {"cat": 60, "dog": 60}, height=4, width=4)
  (tmp_path / "test").mkdir()
  (tmp_path / "test" / "1.jpg").write_bytes(b"")
  train, test = opened(tmp_path), opened(tmp_path, "test")
  assert len(train) + len(test) == 120
  assert "test has no class folders and is not read" in train.notes[0]


def test_a_class_may_be_called_train(tmp_path):
  write_class_folders(tmp_path, {"bus": 30, "train": 30}, height=4, width=4)
  assert opened(tmp_path).classes == ("bus", "train")


@pytest.mark.parametrize(
  ("folders", "words"),
  [
    ({"train": {"": 3}, "test": {"": 3}}, "has no class folders"),
    ({"test": BOTH}, "has test/ and no train/"),
    ({"test": BOTH, "cat": {"": 3}}, "and no train/: put the class folders"),
    ({"train": BOTH, "Train": BOTH}, "has both"),
    ({"cat": {}, "dog": {}}, "is empty"),
  ],
)
def test_a_folder_that_can_be_meant_in_two_ways_is_refused(tmp_path, folders, words):
  for split, classes in folders.items():
    (tmp_path / split).mkdir()
    write_class_folders(tmp_path / split, classes)
  with pytest.raises(UserError, match=words) as caught:
    opened(tmp_path)
  assert "\n" not in str(caught.value)


def test_a_test_split_alone_can_be_evaluated_on(tmp_path):
  write_class_folders(tmp_path / "Test", BOTH)
  assert len(opened(tmp_path, "test")) == 9


def test_names_that_are_no_utf8_are_read_and_can_be_printed(tmp_path):
  write_class_folders(tmp_path, {"plain": 30}, height=4, width=4)
  latin = os.fsdecode(b"caf\xe9")
  (tmp_path / "plain").rename(tmp_path / latin)
  write_class_folders(tmp_path, {"b": 30}, height=4, width=4)
  os.rename(tmp_path / "b" / "0.jpg", tmp_path / "b" / (latin + ".jpg"))
  train, test = opened(tmp_path), opened(tmp_path, "test")
  assert train.classes == ("b", "caf\\xe9")
  assert len(train) + len(test) == 60
  for source in (train, test):
    assert len(source.digest()) == 64
    for index in range(len(source)):
      source.describe(index).encode()
      assert source[index]["image"]


def test_the_two_spellings_of_an_accent_are_one_class(tmp_path):
  for split, form in (("train", "NFD"), ("test", "NFC")):
    name = unicodedata.normalize(form, "café")
    write_class_folders(tmp_path / split, {name: 2, "bus": 1})
  assert opened(tmp_path).classes == opened(tmp_path, "test").classes
  assert len(opened(tmp_path, "test")) == 3


def test_the_digest_is_of_names_and_sizes_and_not_of_places(tmp_path):
  write_class_folders(tmp_path / "a", {"cat": 3, "dog": 3})
  write_class_folders(tmp_path / "b", {"cat": 3, "dog": 3})
  assert opened(tmp_path / "a").digest() == opened(tmp_path / "b").digest()
  digests = {opened(tmp_path / "a").digest()}
  image = pathlib.Path(opened(tmp_path / "a").describe(0))
  image.write_bytes(image.read_bytes() + b" ")
  digests.add(opened(tmp_path / "a").digest())
  image.rename(image.with_name("another.jpg"))
  digests.add(opened(tmp_path / "a").digest())
  (tmp_path / "a" / "cat").rename(tmp_path / "a" / "elk")
  digests.add(opened(tmp_path / "a").digest())
  assert len(digests) == 4
