"""Notices of Google Compute Engine that it will stop this machine, taken as SIGTERM.

The metadata server of a machine with a GPU announces the stop an hour ahead, that of
others a minute ahead, to those that ask it:
https://cloud.google.com/compute/docs/metadata/getting-live-migration-notice
"""

import contextlib
import os
import signal
import sys
import threading
import urllib.request
from collections.abc import Iterator

from neural_epitome.errors import UserError

POLL_SECONDS = 5.0
_TIMEOUT_SECONDS = 5.0
_STOPS = "TERMINATE_ON_HOST_MAINTENANCE"


@contextlib.contextmanager
def watched(is_wanted: bool) -> Iterator[None]:
  """Sends this process SIGTERM when the machine's stop is announced in the block.

  A notice that is there at the start does not count: a run that is restarted on the
  same machine would end at once, again and again, for the hour in which it could train.
  Neither does a migration, after which all goes on.

  Args:
    is_wanted: whether to watch at all.

  Raises:
    UserError: if there is no metadata server.
  """
  if not is_wanted:
    yield
    return
  host = os.environ.get("GCE_METADATA_HOST", "metadata.google.internal")
  try:
    is_announced = _ask(host) == _STOPS
  except OSError as error:
    raise UserError(
      f"--maintenance_notices: the metadata server {host} does not answer ({error}); "
      "leave the flag out where this is no machine of Google Compute Engine."
    ) from None
  over = threading.Event()
  arguments = (host, is_announced, over)
  watch = threading.Thread(target=_watch, args=arguments, daemon=True)
  watch.start()
  try:
    yield
  finally:
    over.set()
    watch.join()


def _watch(host: str, is_announced: bool, over: threading.Event) -> None:
  while not over.wait(POLL_SECONDS):
    try:
      is_stopping = _ask(host) == _STOPS
    except OSError:
      continue  # it is asked again
    if is_stopping and not is_announced:
      sys.stderr.write("This machine is to be stopped for maintenance.\n")
      os.kill(os.getpid(), signal.SIGTERM)
    is_announced = is_stopping


def _ask(host: str) -> str:
  url = f"http://{host}/computeMetadata/v1/instance/maintenance-event"
  request = urllib.request.Request(url, headers={"Metadata-Flavor": "Google"})
  # The server is this machine's own: a proxy does not know it.
  direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
  with direct.open(request, timeout=_TIMEOUT_SECONDS) as answer:
    return answer.read().decode().strip()
