"""Values and files on which several processes must agree before they go on."""

import pathlib
import socket
import time

import jax
import numpy as np
from jax.experimental import multihost_utils

from neural_epitome.errors import UserError

# Seconds in which a shared file system shows what another machine wrote.
SHARED_SECONDS = 60.0


def agreed(decision: bool) -> bool:
  """Process 0's decision, in all processes; all must call it."""
  return bool(multihost_utils.broadcast_one_to_all(decision))


def of_all(value: int) -> list[int]:
  """The values of all processes, by process; all must call it."""
  if jax.process_count() == 1:
    return [value]
  return multihost_utils.process_allgather(np.int32(value)).tolist()


def mean_of_all(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """The mean over processes of each array; all must call it with the same names."""
  if jax.process_count() == 1:
    return arrays
  gathered = multihost_utils.process_allgather(arrays)
  return {name: np.mean(value, 0) for name, value in gathered.items()}


def of_first(values: list[int]) -> list[int]:
  """Process 0's values, in all processes; all must call it."""
  if jax.process_count() == 1:
    return values
  count = int(multihost_utils.broadcast_one_to_all(np.int32(len(values))))
  padded = np.zeros(count, np.int32)
  padded[: len(values)] = values[:count]
  return multihost_utils.broadcast_one_to_all(padded).tolist() if count else []


def wait_for_shared(file: pathlib.Path) -> None:
  """Returns once every process sees a file that process 0 has written.

  Raises:
    UserError: in a process that does not see it.
  """
  multihost_utils.sync_global_devices(f"{file.name} is written")
  deadline = time.monotonic() + SHARED_SECONDS
  while not file.exists():
    if time.monotonic() > deadline:
      raise UserError(
        f"Work directory {file.parent} of process 0 is not seen by process "
        f"{jax.process_index()} ({socket.gethostname()}); --workdir must lie on a file "
        "system that all share."
      )
    time.sleep(0.5)
