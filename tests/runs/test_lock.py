"""One process at a time writes into a work directory."""

import concurrent.futures
import json
import subprocess
import sys
import threading

import pytest

from neural_epitome.errors import UserError
from neural_epitome.runs import lock as locks

HOLD = """
import sys, pathlib
from neural_epitome.runs.lock import Lock
Lock(pathlib.Path(sys.argv[1])).take()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
  monkeypatch.setattr(locks, "BEAT_SECONDS", 0.05)
  monkeypatch.setattr(locks, "SILENT_SECONDS", 0.6)
  monkeypatch.setattr(locks, "_POLL_SECONDS", 0.02)


def elsewhere(path, **changes):
  """Makes a lock that of another machine."""
  holder = json.loads((path / locks.LOCK).read_text()) | {"host": "other"} | changes
  (path / locks.LOCK).write_text(json.dumps(holder))
  return holder


def test_a_second_holder_is_told_who_where_and_since_when(tmp_path):
  with locks.held(tmp_path) as first:
    holder = json.loads((tmp_path / locks.LOCK).read_text())
    with pytest.raises(UserError) as caught, locks.held(tmp_path):
      pass
    for key in ("pid", "host", "since"):
      assert str(holder[key]) in str(caught.value)
    first.check()
  with locks.held(tmp_path):
    pass
  assert not [*tmp_path.iterdir()]


def test_a_directory_that_nothing_came_into_goes_again(tmp_path):
  with locks.held(tmp_path / "a" / "b"):
    assert (tmp_path / "a" / "b" / locks.LOCK).exists()
  assert not (tmp_path / "a" / "b").exists()
  with locks.held(tmp_path / "c"):
    (tmp_path / "c" / "kept").touch()
  assert [p.name for p in (tmp_path / "c").iterdir()] == ["kept"]


def test_the_lock_of_a_killed_process_is_taken_at_once(tmp_path, monkeypatch):
  monkeypatch.setattr(locks, "SILENT_SECONDS", 1e9)
  command = [sys.executable, "-c", HOLD, str(tmp_path)]
  with subprocess.Popen(
    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
  ) as holder:
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(UserError, match=f"in use by process {holder.pid} on"):
      locks.Lock(tmp_path).take()
    holder.kill()
    holder.wait()
    with locks.held(tmp_path) as mine:
      mine.check()


def test_a_number_that_another_process_has_now_holds_nothing(tmp_path):
  with locks.held(tmp_path):
    holder = json.loads((tmp_path / locks.LOCK).read_text()) | {"started": "1"}
  (tmp_path / locks.LOCK).write_text(json.dumps(holder))
  with locks.held(tmp_path):
    now = json.loads((tmp_path / locks.LOCK).read_text())
  assert (now["pid"], now["started"]) != (holder["pid"], "1")


def test_a_holder_elsewhere_that_gives_signs_of_life_keeps_it(tmp_path, capsys):
  with locks.held(tmp_path):
    pass
  ended = threading.Event()
  with locks.held(tmp_path / "x"):
    holder = elsewhere(tmp_path / "x")

  def live():
    beats = 0
    while not ended.wait(0.1):
      beats += 1
      text = json.dumps(holder | {"beats": beats})
      (tmp_path / locks.LOCK).write_text(text)

  (tmp_path / locks.LOCK).write_text(json.dumps(holder))
  thread = threading.Thread(target=live)
  thread.start()
  try:
    with pytest.raises(UserError, match="on other since"), locks.held(tmp_path):
      pass
  finally:
    ended.set()
    thread.join()
  assert "watched for" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{", '{"host": "other", "pid": 1, "since": "x"}'])
def test_a_holder_elsewhere_that_is_silent_loses_it(tmp_path, text):
  (tmp_path / locks.LOCK).write_text(text)
  with locks.held(tmp_path) as mine:
    mine.check()
  assert not [*tmp_path.iterdir()]


def test_of_several_that_find_a_dead_lock_one_gets_it(tmp_path):
  with locks.held(tmp_path):
    dead = json.loads((tmp_path / locks.LOCK).read_text()) | {"started": "1"}
  (tmp_path / locks.LOCK).write_text(json.dumps(dead))
  start = threading.Barrier(8)

  def take(_):
    mine = locks.Lock(tmp_path)
    start.wait()
    try:
      mine.take()
    except UserError:
      return None
    return mine

  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    holders = [holder for holder in pool.map(take, range(8)) if holder]
  assert len(holders) == 1
  holders[0].free()


def test_one_that_was_taken_over_writes_no_more(tmp_path):
  with locks.held(tmp_path) as mine:
    elsewhere(tmp_path, token="other")
    mine._thread.join(5)
    with pytest.raises(UserError, match=r"has taken .* over"):
      mine.check()
  # Nor does it free what is another's.
  assert (tmp_path / locks.LOCK).exists()


@pytest.mark.parametrize("place", ["file/run", "/proc/run", "/sys/run"])
def test_a_directory_that_cannot_be_written_is_one_line(tmp_path, place):
  (tmp_path / "file").touch()
  with (
    pytest.raises(UserError, match="cannot be written"),
    locks.held(tmp_path / place),
  ):
    pass
