"""What is done, what is owed, and how long that will take."""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence

from benchmarks.quality import saved
from benchmarks.quality.jobs import Job
from benchmarks.quality.networks import NETWORKS
from benchmarks.quality.running import Place

Rows = Sequence[Mapping[str, str]]


@dataclasses.dataclass(frozen=True)
class Standing:
  """How a job stands.

  Attributes:
    job: which.
    row: of the results, if it is there.
    epoch: that it has been trained to.
    seconds: that are left, as far as rows and checkpoints tell.
  """

  job: Job
  row: Mapping[str, str] | None
  epoch: int
  seconds: float | None

  def __str__(self) -> str:
    """One line."""
    if self.row is not None:
      return f"done  {self.job.name:44s} {float(self.row['top1']):6.2f}%"
    state = f"epoch {self.epoch} of {self.job.epochs}" if self.epoch else ""
    return f"owed  {self.job.name:44s} {state:18s} {duration(self.seconds)}".rstrip()


def standings(jobs: Sequence[Job], rows: Rows, place: Place) -> list[Standing]:
  """Every job's, in the order of the jobs."""
  by_name = {row["job"]: row for row in rows}
  told = {job: saved.told(place.checkpoint(job)) for job in jobs}
  paces = _paces(jobs, rows, told)
  found = []
  for job in jobs:
    row = by_name.get(job.name)
    epoch = 0 if row else told[job].get("epoch", 0)
    pace = paces.get(_kind(job))
    left = None if pace is None else (job.epochs - epoch) * pace
    found.append(Standing(job, row, epoch, 0.0 if row or not job.epochs else left))
  return found


def duration(seconds: float | None) -> str:
  """Hours and minutes, or that it is not known."""
  if seconds is None:
    return "time unknown"
  minutes = round(seconds / 60)
  return f"{minutes // 60} h {minutes % 60:02d} min"


def is_owed(job: Job, rows: Rows, place: Place) -> bool:
  """Whether a job must be run: for its row, or for the network that others need."""
  if not any(row["job"] == job.name for row in rows):
    return True
  return job.is_teacher and not place.trained(job).is_file()


def _kind(job: Job) -> tuple[str, bool]:
  return job.network, job.is_dense


def _paces(jobs: Sequence[Job], rows: Rows, told) -> dict[tuple[str, bool], float]:
  """Seconds of an epoch by network, of the dense one and of those with a teacher."""
  seen: dict[tuple[str, bool], list[float]] = {}
  for row in rows:
    if int(row["epochs"]):
      kind = row["network"], row["arm"] == "dense"
      pace = float(row["seconds"]) / int(row["epochs"])
      seen.setdefault(kind, []).append(pace)
  for job in jobs:
    if told[job]:
      seen.setdefault(_kind(job), []).append(told[job]["seconds"] / told[job]["epoch"])
  paces = {kind: statistics.median(values) for kind, values in seen.items()}
  for network in NETWORKS:
    # A student's step runs its teacher forward too: a third more.
    if (network, True) in paces:
      paces.setdefault((network, False), 4 / 3 * paces[network, True])
  return paces
