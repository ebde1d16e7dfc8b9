"""A notice of maintenance is taken as SIGTERM; a local server stands for Google's."""

import http.server
import signal
import threading

import pytest

from neural_epitome.distributed import maintenance
from neural_epitome.errors import UserError

STOP = "TERMINATE_ON_HOST_MAINTENANCE"


@pytest.fixture
def answers(monkeypatch):
  """What the server answers, one after the other, the last one for ever."""
  left: list[str] = []

  class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
      assert self.path == "/computeMetadata/v1/instance/maintenance-event"
      assert self.headers["Metadata-Flavor"] == "Google"
      answer = left.pop(0) if len(left) > 1 else left[0]
      self.send_response(500 if answer == "broken" else 200)
      self.end_headers()
      self.wfile.write(answer.encode())

    def log_message(self, *_):
      pass

  with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{server.server_port}")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr(maintenance, "POLL_SECONDS", 0.01)
    yield left
    server.shutdown()


@pytest.fixture
def stopped():
  """Is set by SIGTERM."""
  event = threading.Event()
  previous = signal.signal(signal.SIGTERM, lambda *_: event.set())
  yield event
  signal.signal(signal.SIGTERM, previous)


def test_a_notice_is_taken_as_sigterm_and_told(answers, stopped, capfd):
  answers[:] = ["NONE", "NONE", "broken", STOP]
  with maintenance.watched(True):
    assert stopped.wait(20)
  assert capfd.readouterr().err == "This machine is to be stopped for maintenance.\n"


@pytest.mark.parametrize(
  "notices", [[STOP], ["MIGRATE_ON_HOST_MAINTENANCE"], ["NONE", "broken", "NONE"]]
)
def test_what_stood_before_and_what_stops_nothing_is_let_be(answers, stopped, notices):
  answers[:] = notices
  with maintenance.watched(True):
    assert not stopped.wait(0.3)


def test_a_notice_after_one_that_stood_before_counts(answers, stopped):
  answers[:] = [STOP, STOP, "NONE", STOP]
  with maintenance.watched(True):
    assert stopped.wait(20)


def test_without_a_server_there_is_one_line(monkeypatch):
  monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:9")
  with maintenance.watched(False):
    pass
  with (
    pytest.raises(
      UserError, match=r"metadata server 127\.0\.0\.1:9 does not"
    ) as caught,
    maintenance.watched(True),
  ):
    pass
  assert "\n" not in str(caught.value)
