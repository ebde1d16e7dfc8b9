"""The processes of a job, as flags or the cluster describe them."""

import contextlib
from collections.abc import Iterator

import jax

from neural_epitome import flags
from neural_epitome.distributed import maintenance, processes


@contextlib.contextmanager
def joined(*, is_preemptible: bool) -> Iterator[bool]:
  """Joins the processes of the job around a block; yields whether this is the first.

  Args:
    is_preemptible: whether the block handles SIGTERM itself, by saving and ending;
      then --maintenance_notices is obeyed too. SIGTERM ends the process otherwise.

  Raises:
    UserError: if the flags do not fit together or the cluster cannot be read.
  """
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
