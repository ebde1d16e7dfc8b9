"""A connection of every process to process 0, and the messages on it.

Process 0 tells the others by a collective where it listens, so no port need be agreed
on, and a token, so that no stranger is taken for one of them.
"""

import json
import secrets
import socket
import time
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

# Seconds in which all must be connected, and in which a message is sent or read.
MEETING_SECONDS, MESSAGE_SECONDS = 20.0, 5.0
# A silent machine is given up after 10 + 4 * 5 seconds.
KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4}
_BYTES = 4096

Connections = dict[int, socket.socket]
Message = dict[str, Any]


def connect(host: str | None) -> tuple[Connections, dict[int, str]]:
  """Connects the processes; all of them must call it.

  Args:
    host: a name of process 0's machine, if one is known.

  Returns:
    Connections and names of machines, by process: in process 0 of all others,
    elsewhere of process 0. No connections, in all processes, where some cannot reach
    process 0.
  """
  others = jax.process_count() - 1
  if jax.process_index() == 0:
    with _listen() as server:
      name, port = socket.gethostname(), server.getsockname()[1]
      hosts = [h for h in (host, _own_address(), name) if h]
      token = secrets.token_hex(16)
      _from_first({"hosts": hosts, "name": name, "port": port, "token": token})
      connections, names = _accept(server, token, others)
    is_whole = len(connections) == others
  else:
    invitation = _from_first({})
    connections, names = _call(invitation), {0: invitation["name"]}
    is_whole = True
  if _from_first({"is_whole": is_whole})["is_whole"]:
    return connections, names
  for connection in connections.values():
    connection.close()
  return {}, {}


def _from_first(message: Message) -> Message:
  """Process 0's message, in all processes."""
  data = json.dumps(message).encode()
  padded = np.zeros(_BYTES, np.uint8)
  padded[: len(data)] = np.frombuffer(data, np.uint8)
  received = multihost_utils.broadcast_one_to_all(padded)
  return json.loads(bytes(np.asarray(received)).rstrip(b"\0"))


def _listen() -> socket.socket:
  if socket.has_dualstack_ipv6():
    return socket.create_server(
      ("", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024
    )
  return socket.create_server(("", 0), backlog=1024)


def _own_address() -> str | None:
  """The address of the interface to the world; nothing is sent to find it."""
  with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
    try:
      probe.connect(("192.0.2.1", 9))
    except OSError:
      return None
    return probe.getsockname()[0]


def _accept(
  server: socket.socket, token: str, count: int
) -> tuple[Connections, dict[int, str]]:
  """Connections by process, and the names of their machines."""
  connections, names = {}, {}
  deadline = time.monotonic() + MEETING_SECONDS
  while len(connections) < count and (left := deadline - time.monotonic()) > 0:
    server.settimeout(left)
    try:
      connection, _ = server.accept()
    except TimeoutError:
      break
    _prepare(connection)
    hello = receive(connection)
    if not hello or hello.get("token") != token:
      connection.close()  # a stranger
      continue
    send(connection, {"token": token})
    connections[hello["process"]] = connection
    names[hello["process"]] = hello["name"]
  return connections, names


def _call(invitation: Message) -> Connections:
  """The connection to process 0; none where it cannot be had."""
  address = {"token": invitation["token"], "process": jax.process_index()}
  hello = address | {"name": socket.gethostname()}
  hosts = list(invitation["hosts"])
  if invitation["name"] == hello["name"]:
    hosts.insert(0, "localhost")
  deadline = time.monotonic() + MEETING_SECONDS
  while time.monotonic() < deadline:
    for host in hosts:
      try:
        connection = socket.create_connection((host, invitation["port"]), timeout=3.0)
      except OSError:
        continue
      _prepare(connection)
      send(connection, hello)
      if (receive(connection) or {}).get("token") == invitation["token"]:
        return {0: connection}
      connection.close()  # another machine of that name
    time.sleep(0.5)
  return {}


def _prepare(connection: socket.socket) -> None:
  connection.settimeout(MESSAGE_SECONDS)
  connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
  for name, value in KEEPALIVE.items():
    if hasattr(socket, name):
      connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def send(connection: socket.socket, message: Message) -> None:
  """Sends a message; one to a process that is gone is lost."""
  try:
    connection.sendall(json.dumps(message).encode() + b"\n")
  except OSError:
    pass


def receive(connection: socket.socket) -> Message | None:
  """The next message; None where the connection closes without."""
  data = b""
  try:
    while not data.endswith(b"\n"):
      part = connection.recv(_BYTES)
      if not part:
        return None
      data += part
    return json.loads(data)
  except (OSError, ValueError):
    return None
