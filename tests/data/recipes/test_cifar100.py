"""CIFAR-100 from its pickles and from sheets: all pixels, and no code of a file run."""

import io
import pickle
import struct
import tarfile
from typing import ClassVar

import numpy as np
import pytest

from neural_epitome.data import decoding, prepare, sources
from neural_epitome.data.options import DataOptions
from neural_epitome.data.recipes import cifar100
from neural_epitome.errors import UserError
from tests.data.cifar100_sheets import write_sheets


class Python2Pickler(pickle._Pickler):
  """Writes text and bytes as the one type that they were when CIFAR-100 was made."""

  dispatch: ClassVar = dict(pickle._Pickler.dispatch)

  def save_text(self, value):
    data = value if isinstance(value, bytes) else value.encode()
    self.write(pickle.BINSTRING + struct.pack("<i", len(data)) + data)

  dispatch[bytes] = dispatch[str] = save_text


def pickled(value, pickler=Python2Pickler):
  stream = io.BytesIO()
  pickler(stream, protocol=2).dump(value)
  return stream.getvalue().replace(b"numpy._core.", b"numpy.core.")


def make_files(count=6):
  """The three files by name, and the images and labels of both splits."""
  generator, files, splits = np.random.default_rng(0), {}, {}
  for split in ("train", "test"):
    images = generator.integers(0, 256, (count, 32, 32, 3), np.uint8)
    labels = generator.integers(0, 4, count)
    data = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(count, -1)
    content = {
      "filenames": [f"{split}_{i}.png" for i in range(count)],
      "batch_label": split,
      "fine_labels": labels.tolist(),
      "coarse_labels": [0] * count,
      "data": data,
    }
    files[split], splits[split] = pickled(content), (images, labels)
  names = {"fine_label_names": list("abcd"), "coarse_label_names": ["all"]}
  files["meta"] = pickled(names)
  return files, splits


def write_archive(path, files):
  with tarfile.open(path, "w:gz") as tar:
    for name, data in files.items():
      member = tarfile.TarInfo(f"cifar-100-python/{name}")
      member.size = len(data)
      tar.addfile(member, io.BytesIO(data))
  return path


def write_folder(folder, files):
  folder.mkdir(parents=True)
  for name, data in files.items():
    (folder / name).write_bytes(data)
  return folder


def check_prepared(data_dir, splits, classes):
  options = DataOptions(dataset="cifar100", data_dir=str(data_dir))
  for split, (images, labels) in splits.items():
    source = sources.open_source(options, split)
    assert source.classes == tuple(classes)
    examples = [source[i] for i in range(len(source))]
    read = {decoding.decode(e["image"], 3).tobytes(): e["label"] for e in examples}
    assert read == {
      image.tobytes(): label for image, label in zip(images, labels, strict=True)
    }


def test_the_archive_comes_back_as_it_was(tmp_path, capsys):
  files, splits = make_files()
  archive = write_archive(tmp_path / "cifar-100-python.tar.gz", files)
  data_dir = tmp_path / "data"
  arguments = ["cifar100", f"--source={archive}", f"--data_dir={data_dir}"]
  assert prepare.main(arguments) == 0
  check_prepared(data_dir, splits, "abcd")
  assert prepare.main(arguments) == 1
  assert "exists already" in capsys.readouterr().err


def test_sheets_come_back_as_they_were(tmp_path):
  sheets = write_sheets(
    tmp_path / "sheets", ("train-0", "train-1", "test"), rows=2, columns=3, classes=5
  )
  trains = sheets["train-0"], sheets["train-1"]
  train = tuple(np.concatenate(arrays) for arrays in zip(*trains, strict=True))
  cifar100.prepare_cifar100(tmp_path / "sheets", tmp_path / "data")
  splits = {"train": train, "test": sheets["test"]}
  check_prepared(tmp_path / "data", splits, [f"class_{i}" for i in range(5)])


def test_every_place_that_the_pickles_may_lie_in_is_read(tmp_path):
  files, splits = make_files()
  write_archive(tmp_path / "cifar-100-python.tar.gz", files)
  inside = write_folder(tmp_path / "unpacked" / "cifar-100-python", files)
  for source in (tmp_path, tmp_path / "unpacked", inside):
    read_splits, classes = cifar100.read_cifar100(source)
    assert classes == tuple("abcd")
    for split, (images, labels) in splits.items():
      np.testing.assert_array_equal(read_splits[split][0], images)
      np.testing.assert_array_equal(read_splits[split][1], labels)


def test_pickles_written_anew_by_python_3_are_read(tmp_path):
  files, splits = make_files()
  content = pickle.loads(files["test"], encoding="latin1")
  content["data"] = np.asarray(content["data"])
  files["test"] = pickle.dumps(content, protocol=4)
  read_splits, _ = cifar100.read_cifar100(write_folder(tmp_path / "f", files))
  np.testing.assert_array_equal(read_splits["test"][0], splits["test"][0])


class Runs:
  """Unpickled the ordinary way, it leaves a file."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return open, (str(self.path), "w")


def test_a_pickle_that_asks_to_run_something_is_refused(tmp_path):
  files, _ = make_files()
  trace = tmp_path / "trace"
  files["test"] = pickle.dumps({"data": Runs(trace), "fine_labels": []}, protocol=2)
  folder = write_folder(tmp_path / "f", files)
  with pytest.raises(UserError, match=r"asks for .*open, which is no array"):
    cifar100.read_cifar100(folder)
  assert not trace.exists()


@pytest.mark.parametrize(
  ("name", "value", "message"),
  [
    ("test", {"fine_labels": [1]}, "no data with fine_labels"),
    ("test", [1], "no dictionary"),
    ("test", {"data": np.zeros((2, 3072), np.uint8), "fine_labels": [1]}, "1 labels"),
    ("test", {"data": np.zeros((1, 3072)), "fine_labels": [1]}, "f8"),
    ("test", {"data": np.zeros((1, 3072), np.uint8), "fine_labels": [300]}, "no byte"),
    ("meta", {}, "no fine_label_names"),
  ],
)
def test_damaged_pickles_are_named(tmp_path, name, value, message):
  files, _ = make_files()
  files[name] = pickled(value)
  with pytest.raises(UserError, match=f"{name} of cifar-100-python .*{message}"):
    cifar100.read_cifar100(write_folder(tmp_path / "f", files))


def test_truncated_files_are_named(tmp_path):
  files, _ = make_files()
  archive = write_archive(tmp_path / "cifar-100-python.tar.gz", files)
  archive.write_bytes(archive.read_bytes()[:-2000])
  with pytest.raises(UserError, match=r"is no cifar-100-python\.tar\.gz"):
    cifar100.read_cifar100(archive)
  files["train"] = files["train"][:-100]
  with pytest.raises(UserError, match="train of cifar-100-python is damaged"):
    cifar100.read_cifar100(write_folder(tmp_path / "f", files))


def test_what_is_missing_is_named(tmp_path):
  with pytest.raises(UserError, match=r"nor sheets with labels\.npz"):
    cifar100.read_cifar100(tmp_path)
  write_sheets(tmp_path / "a", ("test",))
  with pytest.raises(UserError, match=r"train-0\.webp is missing"):
    cifar100.read_cifar100(tmp_path / "a")
  write_sheets(tmp_path / "b", ("train-0", "test"))
  (tmp_path / "b" / "classes.txt").write_text("one two")
  with pytest.raises(UserError, match=r"has a label 9. and 2 class names"):
    cifar100.prepare_cifar100(tmp_path / "b", tmp_path / "data")
  (tmp_path / "b" / "test.webp").write_bytes(b"no picture")
  with pytest.raises(UserError, match=r"test\.webp is no sheet"):
    cifar100.read_cifar100(tmp_path / "b")
