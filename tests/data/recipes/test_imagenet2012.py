"""ImageNet from archives and folders of its form, interrupted or not."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tarfile
import time

import pytest

from neural_epitome.data import decoding, prepare, sources
from neural_epitome.data.options import DataOptions
from neural_epitome.data.recipes import imagenet2012, imagenet_form
from tests.data.helpers import encoded, smooth_picture

CLASSES = 20


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
  """Archives of twenty classes, two training images and a validation one each.

  Among them a PNG with the name of a JPEG, a grey and a CMYK picture.
  """
  root = tmp_path_factory.mktemp("archives")
  odd = {0: ("PNG", "RGB"), 1: ("JPEG", "L"), 2: ("JPEG", "CMYK")}
  for split, per_class in (("train", 2), ("validation", 1)):
    drawn: dict[str, list[tuple[str, bytes]]] = {}
    for label, number, name in imagenet_form.names(split, per_class):
      if label < CLASSES:
        form, mode = odd.get(label, ("JPEG", "RGB")) if number else ("JPEG", "RGB")
        picture = smooth_picture(50 * label + number, 20 + label, 30)
        synset = imagenet2012.synsets()[label]
        drawn.setdefault(synset, []).append((name, encoded(picture, form, mode)))
    imagenet_form.write_archive(root, split, iter(drawn.items()))
  return root


def _prepare(source, data_dir, *more):
  arguments = ["imagenet2012", f"--source={source}", f"--data_dir={data_dir}"]
  return prepare.main([*arguments, "--processes=1", *more])


def _examples(data_dir, split):
  options = DataOptions(dataset="imagenet2012", data_dir=str(data_dir))
  source = sources.open_source(options, split)
  assert source.classes == imagenet2012.synsets()
  return [source[index] for index in range(len(source))]


@pytest.fixture(scope="module")
def prepared(archives, tmp_path_factory):
  root = tmp_path_factory.mktemp("tfds")
  assert _prepare(archives, root, "--allow_partial") == 0
  return root


# The first releases of Python 3.11 have none.
FILTER = getattr(tarfile, "data_filter", None)


def _unpack(archives, folder):
  """The folders that torchvision reads."""
  with tarfile.open(archives / imagenet2012.ARCHIVES["train"]) as outer:
    for member in outer:
      with tarfile.open(fileobj=outer.extractfile(member)) as inner:
        inner.extraction_filter = FILTER
        inner.extractall(folder / "train" / member.name[:-4])
  with tarfile.open(archives / imagenet2012.ARCHIVES["validation"]) as archive:
    archive.extraction_filter = FILTER
    archive.extractall(folder / "val")
  return folder


def test_images_are_stored_byte_for_byte_with_the_labels_of_the_originals(
  archives, prepared
):
  examples = _examples(prepared, "train")
  with tarfile.open(archives / imagenet2012.ARCHIVES["train"]) as outer:
    for label, member in enumerate(sorted(outer, key=lambda member: member.name)):
      with tarfile.open(fileobj=outer.extractfile(member)) as inner:
        originals = {inner.extractfile(image).read() for image in inner}
      assert {e["image"] for e in examples if e["label"] == label} == originals
  # The hash of the name decides the order, so that a slice has classes of all kinds.
  assert [example["label"] for example in examples] != sorted(
    e["label"] for e in examples
  )
  assert len(examples) == 2 * CLASSES
  for example in examples:
    assert decoding.decode(example["image"], 3).shape == (20 + example["label"], 30, 3)


def test_the_validation_labels_are_those_of_the_published_list(prepared):
  examples = _examples(prepared, "validation")
  assert sorted(example["label"] for example in examples) == list(range(CLASSES))
  for example in examples:
    # Pictures of a class have a height of their own.
    assert decoding.size_of(example["image"]) == (20 + example["label"], 30)
  # Two that anyone can look up.
  assert imagenet2012.validation_synsets()[:2] == ("n01751748", "n09193705")
  assert imagenet2012.synsets()[0] == "n01440764"


def test_folders_give_the_same_files_as_archives(archives, prepared, tmp_path):
  folders = _unpack(archives, tmp_path / "unpacked")
  assert _prepare(folders, tmp_path, "--allow_partial") == 0
  for split in ("train", "validation"):
    assert _examples(tmp_path, split) == _examples(prepared, split)
  # Validation images in class folders, too.
  labels = {n: label for label, n in enumerate(imagenet2012.synsets())}
  for file in list((folders / "val").iterdir()):
    synset = imagenet2012.validation_synsets()[int(file.stem[-8:]) - 1]
    assert labels[synset] < CLASSES
    (folders / "val" / synset).mkdir(exist_ok=True)
    file.rename(folders / "val" / synset / file.name)
  assert _prepare(folders, tmp_path / "again", "--allow_partial") == 0
  assert _examples(tmp_path / "again", "validation") == _examples(
    prepared, "validation"
  )


def test_tfds_reads_it_as_its_own_with_file_names(prepared):
  import tensorflow_datasets as tfds

  builder = tfds.builder_from_directory(str(prepared / "imagenet2012/5.1.0"))
  assert builder.info.full_name == "imagenet2012/5.1.0"
  assert builder.info.supervised_keys == ("image", "label")
  skip = {"image": tfds.decode.SkipDecoding()}
  example = builder.as_data_source("validation", decoders=skip)[0]
  assert example["file_name"].startswith(b"ILSVRC2012_val_")


@pytest.mark.parametrize(
  ("damage", "words"),
  [
    ("none", "40 images for train, not 1,281,167 (n01601694: 0)"),
    ("no validation", "holds neither ILSVRC2012_img_val.tar nor a folder 'val'"),
    ("truncated", "ILSVRC2012_img_train.tar is no whole archive"),
    ("strange class", "has a class 'cats', which is none of ImageNet's"),
    ("broken image", "is no whole image"),
  ],
)
def test_what_is_missing_or_broken_is_named(archives, tmp_path, capsys, damage, words):
  source = tmp_path / "source"
  shutil.copytree(archives, source)
  train = source / imagenet2012.ARCHIVES["train"]
  if damage == "no validation":
    (source / imagenet2012.ARCHIVES["validation"]).unlink()
  elif damage == "truncated":
    train.write_bytes(train.read_bytes()[:30_000])
  elif damage in ("strange class", "broken image"):
    synset = "cats" if damage == "strange class" else imagenet2012.synsets()[0]
    train.unlink()
    (source / "train" / synset).mkdir(parents=True)
    data = encoded(smooth_picture(0, 90, 90))
    (source / "train" / synset / "0.JPEG").write_bytes(data[: len(data) // 2])
  more = ["--allow_partial"] if damage != "none" else []
  assert _prepare(source, tmp_path / "tfds", *more) == 1
  error = capsys.readouterr().err
  assert words in error
  assert error.count("\n") == 1
  assert sources.find_prepared("imagenet2012", tmp_path / "tfds") is None


@pytest.mark.slow
def test_a_killed_preparation_goes_on_where_it_was(tmp_path, capsys):
  """Two processes write twenty shards; one image is a pipe that nobody fills."""
  source, data = tmp_path / "source", encoded(smooth_picture(0, 20, 20))
  for label, _, name in list(imagenet_form.names("train", 2))[: 2 * CLASSES]:
    folder = source / "train" / imagenet2012.synsets()[label]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
  (source / "val").mkdir()
  (source / "val" / "ILSVRC2012_val_00000001.JPEG").write_bytes(data)
  pipe = source / "train" / imagenet2012.synsets()[0] / "n01440764_1.JPEG"
  pipe.unlink()
  os.mkfifo(pipe)
  arguments = [f"--source={source}", f"--data_dir={tmp_path}", "--allow_partial"]
  arguments = ["imagenet2012", *arguments, "--per_shard=2"]
  command = [sys.executable, "-m", "neural_epitome.data.prepare", *arguments]
  partial = tmp_path / "imagenet2012" / "incomplete.5.1.0"
  running = subprocess.Popen([*command, "--processes=2"], stderr=subprocess.DEVNULL)
  try:
    _wait(lambda: len(_done(partial)) >= 3)
    workers = pathlib.Path(f"/proc/{running.pid}/task/{running.pid}/children")
    workers = [pathlib.Path("/proc") / pid for pid in workers.read_text().split()]
  finally:
    running.send_signal(signal.SIGKILL)
    running.wait()
  # They end with the process that they work for.
  _wait(lambda: not any(worker.exists() for worker in workers))
  before = _done(partial)
  assert len(workers) >= 2
  assert 3 <= len(before) < 21
  assert sources.find_prepared("imagenet2012", tmp_path) is None
  pipe.unlink()
  assert prepare.main([*arguments, "--processes=1"]) == 1
  assert "was begun with other images" in capsys.readouterr().err
  pipe.write_bytes(data)
  assert prepare.main([*arguments, "--processes=1"]) == 0
  after = _done(tmp_path / "imagenet2012" / "5.1.0")
  assert len(after) == 21
  assert before.items() <= after.items()
  assert len(_examples(tmp_path, "train")) == 2 * CLASSES


def _wait(condition) -> None:
  deadline = time.monotonic() + 60
  while not condition():
    assert time.monotonic() < deadline
    time.sleep(0.05)


def _done(folder: pathlib.Path) -> dict[str, int]:
  """Whole shards, and when each was written."""
  return {
    path.name: path.stat().st_mtime_ns for path in folder.glob("imagenet2012-*.array*")
  }
