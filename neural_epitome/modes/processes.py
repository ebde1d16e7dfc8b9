"""The processes of a job, as flags or its cluster name them."""

import contextlib
from collections.abc import Iterator

import jax

from neural_epitome import flags
from neural_epitome.distributed import maintenance, processes


@contextlib.contextmanager
def joined(*, is_preemptible: bool) -> Iterator[bool]:
  """Runs the body in all processes of the job; yields whether this is the first."""
  is_watched = is_preemptible and flags.MAINTENANCE_NOTICES.value
  with (
    processes.joined(
      flags.COORDINATOR_ADDRESS.value,
      flags.NUM_PROCESSES.value,
      flags.PROCESS_ID.value,
      timeout=flags.INITIALIZATION_TIMEOUT.value,
      is_preemptible=is_preemptible,
    ),
    maintenance.watched(is_watched),
  ):
    yield jax.process_index() == 0
