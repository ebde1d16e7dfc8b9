"""Several processes, one run: they find each other, and end together.

`joined` is entered before the first use of a device. On Cloud TPU, SLURM, Kubernetes
and Open MPI JAX finds the processes itself; elsewhere three flags name them; and one
process is one process, which waits for nobody.
"""

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Iterator
from typing import NoReturn

import jax

from neural_epitome.distributed import cluster, peers
from neural_epitome.distributed.peers import end
from neural_epitome.errors import UserError

# What a failed collective is waited for, so that the peer's end is told instead.
VERDICT_SECONDS = 10.0


@contextlib.contextmanager
def joined(
  coordinator_address: str | None = None,
  num_processes: int | None = None,
  process_id: int | None = None,
  *,
  timeout: int = 300,
  is_preemptible: bool = True,
) -> Iterator[None]:
  """Makes this process one of those that run the body, and ends with them.

  What is None is read from JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and
  JAX_PROCESS_ID, and if none is there from the cluster. The body of each process must
  take part in the same collectives. If it raises in one, all end: this process with
  the error, the others with a line that names the process and the error.

  Args:
    coordinator_address: HOST:PORT of process 0, where it will listen.
    num_processes: how many there are; 1 waits for nobody.
    process_id: which this is, from 0.
    timeout: seconds to wait for the others.
    is_preemptible: SIGTERM is left to the body, which asks
      `multihost_utils.reached_preemption_sync_point`; it ends the process otherwise.

  Raises:
    UserError: if the arguments do not fit together or the cluster cannot be read.
    SystemExit: the body's own, where all processes raise it.
  """
  named = cluster.named(coordinator_address, num_processes, process_id, os.environ)
  if not cluster.initialize(named, timeout, is_preemptible):
    yield
    return
  host = named.address.rpartition(":")[0].strip("[]") if named else None
  with _stdout_to_stderr():
    watch = peers.meet(host) if jax.process_count() > 1 else None
  try:
    with _leaving_together(watch):
      yield
  except UserError as error:
    _fail(watch, str(error), 1)
  except KeyboardInterrupt as interrupt:
    line = str(interrupt) or "Interrupted; the same command resumes."
    _fail(watch, line, 130)
  except Exception as error:
    # Most likely a collective that broke because a peer ended. The watch knows, and
    # ends this process; what it does not explain is an error of our own.
    time.sleep(VERDICT_SECONDS if watch else 0)
    traceback.print_exc()
    _fail(watch, f"{type(error).__name__}: {error}", 1)


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
  # At the first collective Gloo greets on stdout, which is the user's, as --json is.
  sys.stdout.flush()
  kept = os.dup(1)
  os.dup2(2, 1)
  try:
    yield
  finally:
    os.dup2(kept, 1)
    os.close(kept)


@contextlib.contextmanager
def _leaving_together(watch: peers.Peers | None) -> Iterator[None]:
  code = None
  try:
    yield
  except SystemExit as exit:
    code = exit
  if watch:
    watch.leave()
  jax.distributed.shutdown()
  if code:
    raise code


def _fail(watch: peers.Peers | None, text: str, code: int) -> NoReturn:
  line = text.strip().splitlines()[0]
  if watch:
    watch.fail(line, code)
  end(line, code)
