"""Large prepared TFDS directories: many shards, by many processes, resumable.

A shard is written under another name and renamed when it is whole; what was renamed
before an interruption is never written again. Images are stored byte for byte. In
which shard an image lies, and where, is decided by the hash of its name, which makes
any slice of a split (`train[:10%]`) a fair sample.
"""

import dataclasses
import hashlib
import io
import itertools
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tqdm import tqdm

from neural_epitome.data import decoding
from neural_epitome.data.processes import parallel
from neural_epitome.errors import UserError

# About what TFDS puts into one: 140 MB of ImageNet's pictures.
PER_SHARD = 1250

_FINGERPRINT = "fingerprint.txt"
# One record a group for random access; JPEGs do not get smaller.
_WRITER_OPTIONS = "group_size:1,uncompressed"


class Record(NamedTuple):
  """Where an encoded image lies.

  Attributes:
    name: file name of the image.
    label: of its class.
    path: of the file that holds it: an archive, or the image's own.
    offset: of the image's first byte in that file.
    size: in bytes; None is the whole file.
  """

  name: str
  label: int
  path: str
  offset: int = 0
  size: int | None = None


@dataclasses.dataclass(frozen=True)
class _Shard:
  """What a worker process needs to write one."""

  path: pathlib.Path
  records: tuple[Record, ...]
  classes: tuple[str, ...]


def write_shards(
  target: pathlib.Path,
  splits: Mapping[str, Sequence[Record]],
  classes: Sequence[str],
  *,
  processes: int,
  per_shard: int = PER_SHARD,
  description: str = "",
  citation: str = "",
) -> None:
  """Writes `target`, a prepared TFDS directory of images, labels and file names.

  The same call continues after an interruption.

  Args:
    target: `.../name/version`, which must not exist.
    splits: the images of every split.
    classes: class names in the order of the labels.
    processes: number of worker processes; 1 works in this one.
    per_shard: images of a shard, approximately.
    description: one paragraph kept with the data.
    citation: BibTeX kept with the data.

  Raises:
    UserError: naming the file, if an image is truncated or not an image, a file cannot
      be read or written, or `target` was begun with other images.
  """
  partial = target.with_name(f"incomplete.{target.name}")
  partial.mkdir(parents=True, exist_ok=True)
  _check_same(partial, splits, per_shard)
  files = {
    split: list(_cut(records, per_shard, f"{partial}/{target.parent.name}-{split}"))
    for split, records in splits.items()
  }
  shards = [
    _Shard(pathlib.Path(path), records, tuple(classes))
    for path, records in itertools.chain.from_iterable(files.values())
  ]
  missing = [shard for shard in shards if not shard.path.exists()]
  total = sum(len(shard.records) for shard in shards)
  left = sum(len(shard.records) for shard in missing)
  with (
    tqdm(
      total=total,
      initial=total - left,
      desc="Writing",
      unit=" images",
      unit_scale=True,
      disable=None,
    ) as progress,
    parallel(processes) as over,
  ):
    for written in over(_write_shard, missing):
      progress.update(written)
  lengths = {
    split: [len(records) for _, records in cut] for split, cut in files.items()
  }
  _write_info(partial, target, lengths, classes, description, citation)
  (partial / _FINGERPRINT).unlink()
  partial.rename(target)


def _check_same(
  partial: pathlib.Path, splits: Mapping[str, Sequence[Record]], per_shard: int
) -> None:
  """Raises UserError if `partial` was begun with other images."""
  digest = hashlib.sha256(f"{per_shard}".encode())
  for split, records in splits.items():
    for record in sorted(records, key=lambda record: record.name):
      digest.update(f"{split}\n{record.name}\n{record.label}\n".encode())
  file = partial / _FINGERPRINT
  if file.exists() and file.read_text() != digest.hexdigest():
    raise UserError(f"{partial} was begun with other images; remove it to start anew.")
  file.write_text(digest.hexdigest())


def _cut(
  records: Sequence[Record], per_shard: int, prefix: str
) -> Iterator[tuple[str, tuple[Record, ...]]]:
  """The shards of a split: path and records, in the order of their hashes."""
  ordered = sorted(records, key=lambda record: _hash(record.name))
  count = max(1, round(len(ordered) / per_shard))
  bounds = [i * len(ordered) // count for i in range(count + 1)]
  for index, (start, stop) in enumerate(itertools.pairwise(bounds)):
    path = f"{prefix}.array_record-{index:05}-of-{count:05}"
    yield path, tuple(ordered[start:stop])


def _hash(name: str) -> bytes:
  return hashlib.sha1(name.encode(), usedforsecurity=False).digest()


def _features(classes: Sequence[str]) -> Any:
  """TFDS's own features of `imagenet2012`."""
  import tensorflow_datasets as tfds

  return tfds.features.FeaturesDict(
    {
      "image": tfds.features.Image(encoding_format="jpeg"),
      "label": tfds.features.ClassLabel(names=list(classes)),
      "file_name": tfds.features.Text(),
    }
  )


def _write_shard(shard: _Shard) -> int:
  """Writes one shard; returns its number of images."""
  # Compiled, without type stubs.
  from array_record.python import (
    array_record_module,  # pyright: ignore[reportAttributeAccessIssue]
  )

  features, images = _features(shard.classes), _read(shard.records)
  partial = shard.path.with_name(f"partial.{shard.path.name}")
  try:
    writer = array_record_module.ArrayRecordWriter(str(partial), _WRITER_OPTIONS)
    for record in shard.records:
      image = {"image": io.BytesIO(images[record]), "file_name": record.name}
      writer.write(features.serialize_example(image | {"label": record.label}))
    writer.close()
    partial.rename(shard.path)
  except (OSError, RuntimeError) as error:
    raise UserError(f"{shard.path} cannot be written: {error}.") from error
  return len(shard.records)


def _read(records: Sequence[Record]) -> dict[Record, bytes]:
  """The images, read in the order in which they lie in their files."""
  images = {}
  by_place = sorted(records, key=lambda record: (record.path, record.offset))
  for path, group in itertools.groupby(by_place, key=lambda record: record.path):
    try:
      with open(path, "rb") as file:
        for record in group:
          file.seek(record.offset)
          images[record] = file.read(-1 if record.size is None else record.size)
          decoding.size_of(images[record])
    except OSError as error:
      raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    except decoding.ImageError as error:
      where = path if record.size is None else f"{record.name} in {path}"
      raise UserError(f"{where} is no whole image: {error}; fetch it anew.") from error
  return images


def _write_info(
  folder: pathlib.Path,
  target: pathlib.Path,
  lengths: Mapping[str, list[int]],
  classes: Sequence[str],
  description: str,
  citation: str,
) -> None:
  """Writes the files by which TFDS knows a prepared directory."""
  import tensorflow_datasets as tfds
  from tensorflow_datasets.core import dataset_info, splits

  identity = dataset_info.DatasetIdentity(
    name=target.parent.name,
    version=tfds.core.Version(target.name),
    data_dir=str(folder),
    module_name=__name__,
  )
  info = tfds.core.DatasetInfo(
    builder=identity,
    description=description,
    citation=citation,
    features=_features(classes),
    supervised_keys=("image", "label"),
  )
  info.set_file_format(tfds.core.FileFormat.ARRAY_RECORD)
  prefix = f"{target.parent.name}-"
  info.set_splits(
    splits.SplitDict(
      tfds.core.SplitInfo(
        name=split,
        shard_lengths=counts,
        num_bytes=sum(p.stat().st_size for p in folder.glob(f"{prefix}{split}.*")),
      )
      for split, counts in lengths.items()
    )
  )
  info.write_to_directory(folder)
