"""Data sets of TFDS's own catalogue, and what TFDS prepared as tfrecord."""

import argparse
import pathlib

from neural_epitome.data.array_records import convert_to_array_record
from neural_epitome.data.recipes.base import Recipe
from neural_epitome.errors import UserError


def prepare_tfds(name: str, data_dir: str | pathlib.Path) -> pathlib.Path:
  """Prepares a data set of TFDS's own catalogue as array_record.

  TFDS downloads most data sets; some it reads from archives in
  `data_dir/downloads/manual`, and some need TensorFlow to be prepared.

  Raises:
    UserError: if there is no such data set, or TensorFlow is needed and missing.
  """
  import tensorflow_datasets as tfds

  try:
    builder = tfds.builder(name, data_dir=str(data_dir), file_format="array_record")
    builder.download_and_prepare()
  except tfds.core.DatasetNotFoundError as error:
    raise UserError(f"TFDS has no data set {name!r}; see tfds.list_builders().") from (
      error
    )
  except ImportError as error:
    raise UserError(
      f"TFDS's recipe for {name} needs more than is installed ({error}): run this in "
      "an environment with tensorflow-cpu. Reading the result needs none."
    ) from error
  except AssertionError as error:  # how TFDS says that archives are missing
    raise UserError(" ".join(str(error).split())) from error
  return pathlib.Path(builder.data_path)


class TfdsRecipe(Recipe):
  """`tfds NAME`, or NAME alone: see `prepare_tfds`."""

  name = "tfds"
  summary = "any data set of TFDS's catalogue, fetched as TFDS says"

  def add_arguments(self, parser: argparse.ArgumentParser) -> None:
    """The data set's name."""
    parser.add_argument("dataset", help="its name in TFDS")

  def prepare(self, options: argparse.Namespace) -> pathlib.Path:
    """See `prepare_tfds`."""
    return prepare_tfds(options.dataset, options.data_dir)


class ConvertRecipe(Recipe):
  """`convert`: see `convert_to_array_record`."""

  name = "convert"
  summary = "rewrite what TFDS prepared as tfrecord"

  def add_arguments(self, parser: argparse.ArgumentParser) -> None:
    """--from_dir."""
    parser.add_argument("--from_dir", help="the prepared tfrecord folder")

  def prepare(self, options: argparse.Namespace) -> pathlib.Path:
    """See `convert_to_array_record`."""
    if not options.from_dir:
      raise UserError("convert needs --from_dir, the folder that TFDS prepared.")
    return convert_to_array_record(options.from_dir, options.data_dir)
