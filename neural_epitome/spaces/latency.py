"""Measured latency of every block of a space on this machine, and their sum.

A table holds one row a block as it may stand in a network: what it reads and makes, its
genes, and the median time of it. The latency of a choice is the sum of its rows; how
far such a sum is from the time of the whole network is measured with it (`slope`,
`rank_correlation`). `latency_measurement` makes one.
"""

import dataclasses
import functools
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import jax

from neural_epitome import codec
from neural_epitome.errors import UserError
from neural_epitome.spaces.arch import Arch
from neural_epitome.spaces.chain_positions import Position
from neural_epitome.spaces.chain_space import ChainSpace

VERSION = 2
Key = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Circumstances:
  """What a measured time holds for.

  Attributes:
    machine: its processor and accelerator.
    runtime: what ran the blocks, and its version.
    batch: images in one call.
  """

  machine: str
  runtime: str
  batch: int

  @classmethod
  def here(cls, batch: int) -> "Circumstances":
    """The circumstances of this process, in which XLA is the runtime."""
    device = jax.devices()[0]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    machine = f"{platform.machine()} {_processor()}, {cores or os.cpu_count()} cores"
    if device.platform != "cpu":
      machine += f", {device.device_kind}"
    return cls(machine, f"xla {device.platform}, jax {jax.__version__}", batch)

  def check(self, path: str | os.PathLike, *, anywhere: bool) -> None:
    """Raises UserError if they are not those of this process, unless `anywhere`."""
    here = Circumstances.here(self.batch)
    if self != here and not anywhere:
      raise UserError(
        f"Latency table {path} was measured on {self.machine} ({self.runtime}), and "
        f"this is {here.machine} ({here.runtime}): --mode=latency_table measures here, "
        "--config.search.any_machine=true takes it all the same."
      )


@dataclasses.dataclass(frozen=True)
class LatencyTable:
  """Times of a space's blocks and ends, in milliseconds a call.

  Attributes:
    circumstances: what they hold for.
    space: whose blocks they are.
    ends: rows of the input channels of the head, the rates of head and classifier, and
      the time of both and the stem.
    blocks: rows of the block's index (the first of those that stand alike), its input
      channels, window, width and operation, the rates of expansion and projection, and
      its time.
    slope: measured time of whole networks over the sum of their rows, by least squares.
    rank_correlation: Spearman's, between measured times and sums.
    checked: number of whole networks that were timed for these two.
  """

  circumstances: Circumstances
  space: ChainSpace
  ends: tuple[tuple[float, ...], ...]
  blocks: tuple[tuple[float, ...], ...]
  slope: float = 1.0
  rank_correlation: float = 1.0
  checked: int = 0

  def __hash__(self) -> int:
    """By identity."""
    return id(self)

  @functools.cached_property
  def _times(self) -> dict[Key, float]:
    rows = [*self.blocks, *((-1, *row) for row in self.ends)]
    return {tuple(int(n) for n in row[:-1]): row[-1] for row in rows}

  @property
  def count(self) -> int:
    """Of blocks and ends that were timed."""
    return len(self.blocks) + len(self.ends)

  def of(self, space: ChainSpace, arch: Arch) -> float:
    """Milliseconds of a call with a choice, the sum of its rows."""
    total = 0.0
    for key in keys(space, arch):
      total += self._times[key]
    return total

  def save(self, path: str | os.PathLike) -> None:
    """Writes JSON, a row a line."""
    data = codec.encode(self)
    columns = ["block", "inputs", "window", "width", "operation", "expand_rate"]
    columns += ["project_rate", "ms"]
    rows = {name: data.pop(name) for name in ("ends", "blocks")}
    text = json.dumps({"version": VERSION, "columns": columns} | data, indent=1)[:-2]
    for name, table in rows.items():
      lines = ",\n".join(f"  {json.dumps(row)}" for row in table)
      text += f',\n "{name}": [\n{lines}\n ]'
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text + "\n}\n", encoding="utf-8")


def load(path: str | os.PathLike, space: ChainSpace, *, anywhere: bool) -> LatencyTable:
  """Reads a table.

  Args:
    path: of the file.
    space: whose choices are to be priced.
    anywhere: whether a table of another machine or runtime will do.

  Raises:
    UserError: if it is no table, of another space, or of another machine or runtime.
  """
  try:
    data = json.loads(Path(path).read_text(encoding="utf-8"))
  except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
    raise UserError(f"Latency table {path} cannot be read: {error}.") from None
  if not isinstance(data, dict) or data.pop("version", None) != VERSION:
    raise UserError(f"{path} is no latency table of version {VERSION}.")
  data.pop("columns", None)
  table = codec.decode(LatencyTable, data, str(path))
  if table.space != space:
    raise UserError(
      f"Latency table {path} is of another space; --mode=latency_table measures one "
      "for this experiment."
    )
  table.circumstances.check(path, anywhere=anywhere)
  return table


@functools.cache
def alike(space: ChainSpace) -> tuple[int, ...]:
  """For each block, the index of the first block with the same position.

  Positions are equal if all that a `Position` says is equal.
  """
  first: dict[Position, int] = {}
  for index, position in enumerate(space.positions):
    first.setdefault(position, index)
  return tuple(first[position] for position in space.positions)


def keys(space: ChainSpace, arch: Arch) -> Iterator[Key]:
  """The rows that a choice is the sum of: its ends, and each block."""
  inputs = space.inputs(arch)
  yield -1, inputs[-1], *(int(rate) for rate in arch.rate[-1])
  first = alike(space)
  for index, channels in enumerate(inputs[:-1]):
    genes = (arch.window, arch.width, arch.operation)
    own = tuple(int(gene[index]) for gene in genes)
    yield first[index], channels, *own, *(int(rate) for rate in arch.rate[index])


def _processor() -> str:
  try:
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("model name"))
    return line.partition(":")[2].strip()
  except (OSError, StopIteration):
    return platform.processor() or "processor"
