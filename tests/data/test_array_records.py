"""Prepared directories that are made from others."""

import struct

import pytest

from neural_epitome.data import array_records, sources
from neural_epitome.data.options import DataOptions
from neural_epitome.errors import UserError
from tests.data.helpers import encoded, smooth_picture


def _as_tfrecord(directory, target):
  """What TFDS writes by default, from the same prepared data set."""
  from array_record.python import array_record_module

  target.mkdir(parents=True)
  for path in directory.iterdir():
    if ".array_record" not in path.name:
      text = path.read_text().replace("array_record", "tfrecord")
      (target / path.name).write_text(text)
      continue
    reader = array_record_module.ArrayRecordReader(str(path))
    with open(target / path.name.replace("array_record", "tfrecord"), "wb") as file:
      for record in reader.read_all():
        file.write(struct.pack("<QI", len(record), 0) + record + bytes(4))


def test_tfrecord_is_converted_without_tensorflow(tmp_path):
  rows = [(encoded(smooth_picture(i, 20, 20)), i % 2) for i in range(9)]
  original = array_records.write_prepared(
    tmp_path / "a", "toy", {"train": rows}, ("x", "y"), encoding="jpeg"
  )
  old = tmp_path / "b" / "toy" / "1.0.0"
  _as_tfrecord(original, old)
  new = array_records.convert_to_array_record(old, tmp_path / "c")
  assert new == tmp_path / "c" / "toy" / "1.0.0"
  first = sources.PreparedSource(original, "train")
  options = DataOptions(dataset="toy", data_dir=str(tmp_path / "c"))
  second = sources.open_source(options, "train")
  assert [second[i] for i in range(9)] == [first[i] for i in range(9)]
  with pytest.raises(UserError, match="exists already"):
    array_records.convert_to_array_record(old, tmp_path / "c")
  (cut,) = old.glob("*.tfrecord*")
  cut.write_bytes(cut.read_bytes()[:-3])
  with pytest.raises(UserError, match="truncated"):
    array_records.convert_to_array_record(old, tmp_path / "d")
  assert sources.find_prepared("toy", tmp_path / "d") is None
  with pytest.raises(UserError, match="no directory that TFDS prepared as tfrecord"):
    array_records.convert_to_array_record(original, tmp_path / "e")
