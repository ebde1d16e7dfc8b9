"""Which processes there are: as flags say, the environment, or a cluster.

JAX reads Cloud TPU, SLURM, Kubernetes and Open MPI; what stands here keeps it from
waiting where a cluster runs one process, and from ending in a page of C++.
"""

import dataclasses
import os
import socket
import threading
from collections.abc import Mapping

import jax

from neural_epitome.errors import UserError
from neural_epitome.training.peers import end

# Seconds until JAX ends a process whose peer is silent. A peer that dies is noticed
# at once (see `peers`); this is for one that hangs, or cannot be watched.
HEARTBEAT_SECONDS = 45


@dataclasses.dataclass(frozen=True)
class Named:
  """Processes that are named, not found.

  Attributes:
    address: HOST:PORT of process 0.
    count: how many there are.
    index: which this is.
  """

  address: str
  count: int
  index: int


def named(
  address: str | None,
  count: int | None,
  index: int | None,
  environment: Mapping[str, str],
) -> Named | None:
  """Address, number of processes and index, or None to look for a cluster."""
  names = ("coordinator_address", "num_processes", "process_id")
  values = []
  for name, value in zip(names, (address, count, index), strict=True):
    text = environment.get(f"JAX_{name.upper()}") if value is None else str(value)
    values.append(text or None)
  if values[1] == "1" and values[2] in (None, "0"):
    return Named("", 1, 0)
  if values == [None] * 3:
    return None
  told = {f"--{n}": v for n, v in zip(names, values, strict=True)}
  if missing := [name for name, value in told.items() if value is None]:
    raise UserError(
      f"{' and '.join(missing)} must be given too: several processes need all of "
      f"{', '.join(told)}."
    )
  return _checked(*values)


def _checked(address: str, count: str, index: str) -> Named:
  host, _, port = address.rpartition(":")
  if not host or not port.isdecimal() or not 0 < int(port) < 65536:
    raise UserError(f"--coordinator_address={address} must be HOST:PORT.")
  if not count.isdecimal() or int(count) < 1:
    raise UserError(f"--num_processes={count} must be 1 or more.")
  if not index.isdecimal() or int(index) >= int(count):
    raise UserError(
      f"--process_id={index} must lie in 0 to {int(count) - 1}, below "
      f"--num_processes={count}."
    )
  return Named(address, int(count), int(index))


def is_alone(environment: Mapping[str, str]) -> bool:
  """Whether the environment of a cluster says that there is but one process here."""
  for name in ("OMPI_COMM_WORLD_SIZE", "SLURM_NTASKS"):
    if name in environment:
      return environment[name] == "1"
  hosts = environment.get(
    "TPU_PROCESS_ADDRESSES", environment.get("TPU_WORKER_HOSTNAMES")
  )
  if hosts is not None:
    return "," not in hosts and environment.get("MEGASCALE_NUM_SLICES", "1") == "1"
  # Every pod has the first, those of a Job whose pods have numbers the second.
  is_pod = "KUBERNETES_SERVICE_HOST" in environment
  return is_pod and "JOB_COMPLETION_INDEX" not in environment


def initialize(named: Named | None, timeout: int, is_preemptible: bool) -> bool:
  """Starts jax.distributed; returns whether there is more than this process.

  Args:
    named: from `named`.
    timeout: seconds to wait for the others; the process ends after them.
    is_preemptible: whether JAX takes SIGTERM for
      `multihost_utils.reached_preemption_sync_point`.

  Raises:
    UserError: if the cluster cannot be read.
  """
  if timeout < 1:
    raise UserError(f"--initialization_timeout={timeout} must be at least 1 second.")
  # A notebook may have done it.
  if jax.distributed.is_initialized() or (named is None and is_alone(os.environ)):
    return False
  arguments = {}
  if named is not None:
    if named.count == 1:
      return False
    if named.index == 0:
      _check_free(named.address)
    arguments = {
      "coordinator_address": named.address,
      "num_processes": named.count,
      "process_id": named.index,
      "cluster_detection_method": "deactivate",
    }
  jax.config.update("jax_cpu_collectives_implementation", "gloo")
  jax.config.update("jax_enable_preemption_service", is_preemptible)
  # JAX ends a process that waited in vain with a page of C++ and SIGABRT.
  where = f" at {named.address}" if named else ""
  told = f"The other processes{where} were not met within {timeout} seconds"
  advice = "--coordinator_address must be HOST:PORT of process 0, as all reach it"
  timer = threading.Timer(timeout, end, [f"{told}: {advice}.", 1])
  timer.daemon = True
  timer.start()
  try:
    jax.distributed.initialize(
      **arguments,
      initialization_timeout=timeout + 30,
      heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
      shutdown_timeout_seconds=HEARTBEAT_SECONDS,
    )
  except ValueError as error:
    if named is None and "coordinator_address" in str(error):
      if "JOB_COMPLETION_INDEX" not in os.environ:
        return False  # no cluster: a laptop
      error = ValueError("the pods of a Job are found with `pip install jax[k8s]`")
    raise _unfound(error) from None
  except RuntimeError as error:
    # A notebook that used a device before has but its own.
    if named is None and "must be called before" in str(error):
      return False
    raise _unfound(error) from None
  except Exception as error:
    raise _unfound(error) from None
  finally:
    timer.cancel()
  return True


def _unfound(error: Exception) -> UserError:
  line = (str(error).strip().splitlines() or [type(error).__name__])[0]
  return UserError(
    f"The processes of this cluster cannot be found: {line}. Name them with "
    "--coordinator_address, --num_processes and --process_id, or say --num_processes=1."
  )


def _check_free(address: str) -> None:
  port = int(address.rpartition(":")[2])
  try:
    socket.create_server(("", port)).close()
  except OSError as error:
    raise UserError(
      f"--coordinator_address={address}: port {port} cannot be had here "
      f"({error.strerror}); choose another for all processes."
    ) from None
