"""Which processes there are, from flags, the environment or a cluster.

JAX reads Cloud TPU, SLURM, Kubernetes and Open MPI 4; what stands here keeps it from
waiting where a cluster runs one process, from training alone in each of several that
it cannot read, and from ending in a page of C++.
"""

import dataclasses
import os
import socket
import threading
import zlib
from collections.abc import Mapping

import jax

from neural_epitome.distributed.peers import end
from neural_epitome.errors import UserError

# Seconds until JAX ends a process whose peer is silent. A peer that dies is noticed
# at once (see `peers`); this is for one that hangs, or cannot be watched.
HEARTBEAT_SECONDS = 45
# What launchers tell each process: how many there are, which this is, and which on its
# machine. Of several launchers around each other the innermost is first.
_LAUNCHERS = (
  ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK"),
  # SLURM_NTASKS would be that of the job, also in its script, which is one process.
  ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_LOCALID"),
  ("PMI_SIZE", "PMI_RANK", "MPI_LOCALRANKID"),
  # torchrun, and what starts processes as it does.
  ("WORLD_SIZE", "RANK", "LOCAL_RANK"),
)
# What JAX looks for; Open MPI 5 has none of it.
_OPEN_MPI_4 = "OMPI_MCA_orte_hnp_uri"
# The name of a job of Open MPI 5, the same in all of its processes.
_OPEN_MPI_5_JOB = "PMIX_NAMESPACE"
# Ports for a job to choose one of, those that JAX chooses from as well.
_FIRST_PORT, _PORTS = 61440, 4096


@dataclasses.dataclass(frozen=True)
class Named:
  """Processes whose number and address are known, without a look at a cluster.

  Attributes:
    address: HOST:PORT of process 0.
    count: how many there are.
    index: which this is.
    local_index: which this is of those on its machine; None where no launcher says so.
      The process then has the accelerator of that number, as in the clusters that JAX
      reads.
  """

  address: str
  count: int
  index: int
  local_index: int | None = None


def _launched(environment: Mapping[str, str]) -> tuple[str, list[str | None]] | None:
  """What the innermost launcher tells: the name of its size, and the three values."""
  for names in _LAUNCHERS:
    if names[0] in environment:
      return names[0], [environment.get(name) for name in names]
  return None


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
  local = None
  if values[0] and values[1:] == [None] * 2 and (launched := _launched(environment)):
    *values[1:], local = launched[1]
  values_by_flag = {f"--{n}": v for n, v in zip(names, values, strict=True)}
  if missing := [name for name, value in values_by_flag.items() if value is None]:
    raise UserError(
      f"{' and '.join(missing)} must be given too: several processes need all of "
      f"{', '.join(values_by_flag)}."
    )
  processes = _checked(*values)
  return dataclasses.replace(
    processes, local_index=None if local is None else int(local)
  )


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
  if (launched := _launched(environment)) is not None:
    return launched[1][0] == "1"
  if "SLURM_NTASKS" in environment:
    return environment["SLURM_NTASKS"] == "1"
  if (hosts := _tpu_hosts(environment)) is not None:
    return "," not in hosts and environment.get("MEGASCALE_NUM_SLICES", "1") == "1"
  # Every pod has the first, those of a Job whose pods have numbers the second.
  is_pod = "KUBERNETES_SERVICE_HOST" in environment
  return is_pod and "JOB_COMPLETION_INDEX" not in environment


def _tpu_hosts(environment: Mapping[str, str]) -> str | None:
  return environment.get(
    "TPU_PROCESS_ADDRESSES", environment.get("TPU_WORKER_HOSTNAMES")
  )


def derived(environment: Mapping[str, str]) -> Named | None:
  """The processes of a launcher that JAX does not read; None if there is none.

  Processes of Open MPI 5 on one machine meet on that machine. For processes on several
  machines Open MPI 5 does not say where they can meet.

  Raises:
    UserError: if there are several and nothing says where they meet.
  """
  launched = _launched(environment)
  if launched is None and environment.get("RANK", "0") != "0":
    raise UserError(
      f"RANK={environment['RANK']} says that this is one of several processes, and "
      "WORLD_SIZE does not say of how many: unset it, or pass --num_processes=1."
    )
  if launched is None or launched[1][0] == "1" or _OPEN_MPI_4 in environment:
    return None
  name, (count, index, local) = launched
  if name.startswith("SLURM"):
    return None
  job = environment.get(_OPEN_MPI_5_JOB)
  is_here = environment.get("OMPI_COMM_WORLD_LOCAL_SIZE") == count
  if not job or count is None or not is_here:
    raise UserError(_several(environment))
  port = _FIRST_PORT + zlib.crc32(job.encode()) % _PORTS
  processes = _checked(f"127.0.0.1:{port}", count, index or "")
  return dataclasses.replace(
    processes, local_index=None if local is None else int(local)
  )


def _several(environment: Mapping[str, str]) -> str | None:
  """What to tell if the environment has several processes; None if it has not."""
  alone = "or --num_processes=1 to train alone in each"
  if (launched := _launched(environment)) is not None:
    name, (count, *_) = launched
    if count == "1":
      return None
    return (
      f"{name}={count} processes were started, and where they meet is not found: "
      f"pass --coordinator_address=HOST:PORT of process 0 to all, {alone}."
    )
  if (hosts := _tpu_hosts(environment)) is not None and "," in hosts:
    return (
      f"There are several hosts of a TPU ({hosts}), and JAX does not find it (`pip "
      "install jax[tpu]`): pass --coordinator_address, --num_processes and "
      f"--process_id, {alone}."
    )
  return None


def initialize(named: Named | None, timeout: int, is_preemptible: bool) -> bool:
  """Starts jax.distributed; returns whether there is more than this process.

  Args:
    named: from `named`.
    timeout: seconds to wait for the others; the process ends after them.
    is_preemptible: whether JAX takes SIGTERM for
      `multihost_utils.reached_preemption_sync_point`.

  Raises:
    UserError: if the cluster cannot be read, or there are several processes and
      nothing says where they meet.
  """
  if timeout < 1:
    raise UserError(f"--initialization_timeout={timeout} must be at least 1 second.")
  # A notebook may have done it.
  if jax.distributed.is_initialized() or (named is None and is_alone(os.environ)):
    return False
  named = named or derived(os.environ)
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
      "local_device_ids": named.local_index,
      "cluster_detection_method": "deactivate",
    }
  jax.config.update("jax_cpu_collectives_implementation", "gloo")
  jax.config.update("jax_enable_preemption_service", is_preemptible)
  # JAX ends a process that waited in vain with a page of C++ and SIGABRT.
  where = f" at {named.address}" if named else ""
  message = f"The other processes{where} were not met within {timeout} seconds"
  advice = "--coordinator_address must be HOST:PORT of process 0, as all reach it"
  timer = threading.Timer(timeout, end, [f"{message}: {advice}.", 1])
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
      if message := _several(os.environ):
        raise UserError(message) from None
      if "JOB_COMPLETION_INDEX" not in os.environ:
        return False  # no cluster: a laptop
      error = ValueError("the pods of a Job are found with `pip install jax[k8s]`")
    raise _unfound(error) from None
  except RuntimeError as error:
    # A notebook that used a device before has but its own.
    is_late = named is None and "must be called before" in str(error)
    if is_late and not _several(os.environ):
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
