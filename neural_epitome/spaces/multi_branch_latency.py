"""Measured latency of every branch of a multi-branch space on one machine.

The latency of a choice is the sum of its branches, of the sums of arrays that join them
and of its ends. Convolutions in groups are measured as they run: the tables that NSE's
authors looked up (arXiv 2011.10904) know a single group.
"""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np

from neural_epitome import codec
from neural_epitome.errors import UserError
from neural_epitome.models.multi_branch import MultiBranchConfig
from neural_epitome.spaces.latency import Circumstances
from neural_epitome.spaces.multi_branch_space import MultiBranchSpace

VERSION = 1


@dataclasses.dataclass(frozen=True)
class BranchTimes:
  """Milliseconds a call.

  Attributes:
    circumstances: what they hold for.
    frame: of the space; which operations its cells have is of no account.
    image_size: likewise.
    ends: of stem, head and classifier together.
    branches: rows of cell, operation and time.
    joins: by cell, of the sum of two of its outputs.
    slope: measured time of whole networks over the sum of their rows.
    rank_correlation: Spearman's, between measured times and sums.
    checked: number of whole networks that were timed for these two.
  """

  circumstances: Circumstances
  frame: MultiBranchConfig
  image_size: int
  ends: float
  branches: tuple[tuple[float, ...], ...]
  joins: tuple[float, ...]
  slope: float = 1.0
  rank_correlation: float = 1.0
  checked: int = 0

  @property
  def count(self) -> int:
    """Of branches that were timed, those of cells that stand alike together."""
    return len(self.branches)

  def tables(self, space: MultiBranchSpace) -> tuple[np.ndarray, np.ndarray]:
    """Times of branches (cells, operations) and of joins (cells,).

    Raises:
      UserError: if an operation of the space was not measured.
    """
    times = np.full(space.usable.shape, np.nan)
    for cell, operation, time in self.branches:
      times[int(cell), int(operation)] = time
    if lacking := np.argwhere(space.usable & np.isnan(times)).tolist():
      cell, operation = lacking[0]
      raise UserError(
        f"The latency table lacks operation {operation} of cell {cell}: "
        "--mode=latency_table measures it."
      )
    return np.where(space.usable, times, 0.0), np.array(self.joins)

  def save(self, path: str | os.PathLike) -> None:
    """Writes JSON, a row a line."""
    data = codec.encode(self)
    rows = data.pop("branches")
    text = json.dumps({"version": VERSION, "of": "branches"} | data, indent=1)[:-2]
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    text += f',\n "branches": [\n{lines}\n ]\n}}\n'
    Path(path).write_text(text, encoding="utf-8")


def frame_of(space: MultiBranchSpace) -> MultiBranchConfig:
  """What times of a space depend on beside its images."""
  return dataclasses.replace(space.frame, cells=(), dropout=0.0)


def load(path: str, space: MultiBranchSpace, *, anywhere: bool) -> BranchTimes:
  """Reads a table; see `Searchable.latency_table`."""
  try:
    data = json.loads(Path(path).read_text(encoding="utf-8"))
  except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
    raise UserError(f"Latency table {path} cannot be read: {error}.") from None
  is_ours = isinstance(data, dict) and data.pop("of", None) == "branches"
  if not is_ours or data.pop("version", None) != VERSION:
    raise UserError(f"{path} is no table of branches of version {VERSION}.")
  times = codec.decode(BranchTimes, data, str(path))
  if times.frame != frame_of(space) or times.image_size != space.image_size:
    raise UserError(
      f"Latency table {path} is of another space; --mode=latency_table measures one "
      "for this experiment."
    )
  times.circumstances.check(path, anywhere=anywhere)
  times.tables(space)
  return times
