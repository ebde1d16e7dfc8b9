"""The watch of processes that run together.

JAX tells a lost peer late, by a page of C++, or not at all while a collective waits.
A connection to process 0 tells at once: the kernel closes it with its process, however
that ends, and its keepalive notices a machine that went silent. Each connection
carries one message, why its process leaves; one that closes without is of a process
that is gone. Process 0 passes on what it hears.
"""

import os
import selectors
import sys
import threading
import time
from typing import NoReturn

import jax

from neural_epitome.distributed.connections import (
  Connections,
  Message,
  connect,
  receive,
  send,
)
from neural_epitome.distributed.interruption import INTERRUPTED

# Seconds in which the others hear why all end.
FAREWELL_SECONDS = 5.0


def end(line: str, code: int) -> NoReturn:
  """Ends this process at once, with a line for the user.

  An exception would not do: the main thread may wait in a collective for ever, and at
  exit JAX would wait for processes that are gone.
  """
  tell(line)
  sys.stdout.flush()
  os._exit(code)


def tell(line: str) -> None:
  """Prints an error in one piece, which no other process's line can cut."""
  sys.stderr.write(f"error: {line}\n")
  sys.stderr.flush()


def meet(host: str | None) -> "Peers | None":
  """Connects the processes; all of them must call it.

  Args:
    host: a name of process 0's machine, if one is known.

  Returns:
    The watch, or None, in all processes, where some cannot reach process 0.
  """
  connections, names = connect(host)
  if connections:
    return Peers(connections, names)
  if jax.process_index() == 0:
    warning = (
      "warning: not all processes reach process 0; that one ends is noticed late."
    )
    print(warning, file=sys.stderr, flush=True)
  return None


class Peers:
  """This process's connections: in process 0 to all others, elsewhere to process 0."""

  def __init__(self, connections: Connections, names: dict[int, str]):
    self._connections, self._names = connections, names
    self._is_ending = False
    self._done = threading.Event()
    self._thread = threading.Thread(target=self._watch, daemon=True)
    self._thread.start()

  def leave(self) -> None:
    """Returns once all processes have called it; ends this one if one cannot."""
    if jax.process_index() == 0:
      self._done.wait()
      self._send({"code": 0})
    else:
      self._send({"code": 0})
      self._done.wait()

  def fail(self, line: str, code: int) -> None:
    """Ends the other processes, with this line and exit code."""
    self._is_ending = True
    self._send({"code": code, "process": jax.process_index(), "line": line})
    self._thread.join(FAREWELL_SECONDS)

  def _send(self, message: Message) -> None:
    for connection in self._connections.values():
      send(connection, message)

  def _watch(self) -> None:
    code, deadline = 0, None
    with selectors.DefaultSelector() as selector:
      for process, connection in self._connections.items():
        selector.register(connection, selectors.EVENT_READ, process)
      while selector.get_map():
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready = selector.select(left)
        if not ready:
          break
        for key, _ in ready:
          selector.unregister(key.fileobj)
          message = receive(self._connections[key.data])
          message = message or {"code": INTERRUPTED, "process": key.data}
          if message["code"] and not self._is_ending and not code:
            code, deadline = message["code"], time.monotonic() + FAREWELL_SECONDS
            tell(self._line(message))
            if jax.process_index() == 0:
              self._send(message)
    if code:
      sys.stdout.flush()
      os._exit(code)
    self._done.set()

  def _line(self, message: Message) -> str:
    process = message["process"]
    name = self._names.get(process)
    who = f"process {process} of {jax.process_count()}" + (f" ({name})" if name else "")
    if "line" in message:
      return f"{who}: {message['line']}"
    return f"{who} is gone; the same command, in all processes, resumes."
