"""PLAID: currents of electrical appliances, as sktime's package carries it.

1,074 series of 100 to 1,344 samples, eleven kinds of appliance, the official halves:
the UCR/UEA archive's edition of the Plug Load Appliance Identification Dataset (Gao
et al. 2014; edited by Schäfer and Leser 2017). sktime is only looked up, not
imported: `pip install --no-deps sktime` is enough.
"""

import argparse
import importlib.util
import pathlib

import numpy as np

from neural_epitome.data.array_records import write_prepared_signals
from neural_epitome.data.recipes.base import Recipe
from neural_epitome.errors import UserError

# In the order of the files' labels, 0 to 10.
CLASSES = (
  "air conditioner",
  "compact fluorescent lamp",
  "fan",
  "fridge",
  "hairdryer",
  "heater",
  "incandescent light bulb",
  "laptop",
  "microwave",
  "vacuum",
  "washing machine",
)

_DESCRIPTION = (
  "PLAID, the Plug Load Appliance Identification Dataset, in the edition of the "
  "UCR/UEA archive of time series: currents of eleven kinds of electrical appliance "
  "in more than 56 households in Pittsburgh, official training and test halves."
)
_CITATION = """@inproceedings{gao2014plaid,
  author = {Gao, Jingkun and Giri, Suman and Kara, Emre Can and Berg{\\'e}s, Mario},
  title = {{PLAID}: a public dataset of high-resolution electrical appliance
           measurements for load identification research: demo abstract},
  booktitle = {Proceedings of the 1st ACM Conference on Embedded Systems for
               Energy-Efficient Buildings},
  year = {2014},
}"""


def read_ts(path: str | pathlib.Path) -> list[tuple[np.ndarray, str]]:
  """Reads a file of the archive's form `.ts`.

  Returns:
    float32 (samples, channels) and class label of every series.

  Raises:
    UserError: naming the file, and the line that cannot be read; series with time
      stamps, missing values or channels of unequal length are not supported.
  """
  path, examples, is_data = pathlib.Path(path), [], False
  try:
    lines = path.read_text(encoding="utf-8-sig").splitlines()
  except (OSError, UnicodeDecodeError) as error:
    raise UserError(f"{path} cannot be read: {error}.") from error
  for number, line in enumerate(lines, 1):
    line = line.strip()
    if not is_data:
      is_data = line.lower() == "@data"
      continue
    if not line:
      continue
    *channels, label = line.split(":")
    try:
      columns = [np.array(text.split(","), np.float32) for text in channels]
      series = np.stack(columns, -1)
    except ValueError as error:
      raise UserError(f"{path}, line {number} is no labelled series: {error}.") from (
        error
      )
    examples.append((series, label.strip()))
  if not examples:
    raise UserError(f"{path} holds no series below a line @data.")
  return examples


def find_plaid() -> pathlib.Path:
  """The folder of the two files in the installed package sktime.

  Raises:
    UserError: if sktime is not installed or does not carry them.
  """
  package = importlib.util.find_spec("sktime")
  for place in (package and package.submodule_search_locations) or ():
    folder = pathlib.Path(place) / "datasets" / "data" / "PLAID"
    if folder.is_dir():
      return folder
  raise UserError(
    "PLAID is read from the files of the package sktime, which is not installed or "
    "lacks them: pip install --no-deps sktime (or give --source=DIR)."
  )


class PlaidRecipe(Recipe):
  """`plaid`: float32 signals in amperes as the archive has them, official splits."""

  name = "plaid"
  summary = "currents of electrical appliances, from the package sktime"

  def add_arguments(self, parser: argparse.ArgumentParser) -> None:
    """--source."""
    parser.add_argument(
      "--source",
      help="folder of PLAID_TRAIN.ts and PLAID_TEST.ts (default: that in sktime)",
    )

  def prepare(self, options: argparse.Namespace) -> pathlib.Path:
    """Reads both files.

    Raises:
      UserError: if they are missing or broken, or the data set is prepared already.
    """
    folder = pathlib.Path(options.source) if options.source else find_plaid()
    labels = {str(i): i for i in range(len(CLASSES))}
    splits = {}
    for split in ("train", "test"):
      path = folder / f"PLAID_{split.upper()}.ts"
      splits[split] = rows = []
      for series, label in read_ts(path):
        if label not in labels or series.shape[1] != 1:
          raise UserError(f"{path} is not PLAID: it has a series of class {label!r}.")
        rows.append((series, labels[label]))
      print(f"{split}: {len(rows)} series")
    return write_prepared_signals(
      options.data_dir,
      self.name,
      splits,
      CLASSES,
      dtype=np.float32,
      description=_DESCRIPTION,
      citation=_CITATION,
    )
