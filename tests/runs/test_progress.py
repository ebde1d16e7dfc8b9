"""What is told on a line."""

import io
import os
import pty
import sys
import termios
import time
from types import SimpleNamespace

import pytest

from neural_epitome.runs import progress


def test_speed_is_told_with_what_is_known():
  values = {"images_per_second": 12345.6, "input_wait": 0.034}
  assert progress.speed_text({}) == ""
  text = "  12,346 images/s  input wait 3%"
  assert progress.speed_text(values) == text
  text += "  31.2% of peak"
  assert progress.speed_text(values | {"flops_utilisation": 0.312}) == text
  assert progress.speed_text(values | {"images_per_second": 4.56}).startswith("  4.6 ")


def test_speed_of_each_device_is_told_where_there_are_several():
  values = {"images_per_second": 8000.0, "input_wait": 0.0}
  one_device = values | {"images_per_second_per_device": 8000.0}
  assert progress.speed_text(one_device) == progress.speed_text(values)
  four_devices = values | {"images_per_second_per_device": 2000.0}
  text = "  8,000 images/s (2,000 a device)  input wait 0%"
  assert progress.speed_text(four_devices) == text


@pytest.fixture
def clock(monkeypatch):
  """The time, to be set; a line is told whenever it is asked for."""
  now = [100.0]
  monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
  monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
  return now


def test_the_time_that_is_left_follows_from_the_steps_after_the_first(clock, capsys):
  shown = progress.Progress(total=1000, step=400, quiet=False)
  speed = {"images_per_second": 64.0, "input_wait": 0.25}
  # The first step of a session compiles, and took 50 s.
  for now, step in ((150.0, 401), (152.0, 402), (170.0, 411)):
    clock[0] = now
    shown.update(step, 2.0, speed)
  assert capsys.readouterr().out.splitlines() == [
    f"step {line}"
    for line in (
      "401/1000 (40%)  loss 2.000  64.0 images/s  input wait 25%  ETA ?",
      "402/1000 (40%)  loss 2.000  64.0 images/s  input wait 25%  ETA 19:56",
      "411/1000 (41%)  loss 2.000  64.0 images/s  input wait 25%  ETA 19:38",
    )
  ]


def test_the_time_that_is_left_is_told_in_hours_and_ends_at_zero(clock, capsys):
  shown = progress.Progress(total=7202, step=0, quiet=False)
  for now, step in ((101.0, 1), (102.0, 2), (7301.0, 7202)):
    clock[0] = now
    shown.update(step, 1.0, {})
  etas = [line.rpartition("ETA ")[2] for line in capsys.readouterr().out.splitlines()]
  assert etas == ["?", "2:00:00", "0:00"]


def test_nothing_is_told_where_it_should_be_quiet(clock, capsys):
  shown = progress.Progress(total=3, step=0, quiet=True)
  shown.update(1, 1.0, {})
  shown.say("hello")
  assert capsys.readouterr() == ("", "")


def test_compilation_is_said_to_last_and_the_rest_is_timed_from_its_end(
  clock, capsys, monkeypatch
):
  monkeypatch.setattr(progress, "LINE_SECONDS", 0.01)
  shown = progress.Progress(total=10, step=0, quiet=False)
  with shown.compiling():
    clock[0] = 175.0
    time.sleep(0.2)
  lines = capsys.readouterr().out.splitlines()
  assert lines[0] == "compiling the training step, 0:00"
  assert lines[-1] == "compiling the training step, 1:15"
  time.sleep(0.05)
  assert capsys.readouterr().out == "", "the clock goes on after the end"


def test_an_error_while_compiling_ends_the_clock(clock, capsys):
  shown = progress.Progress(total=10, step=0, quiet=False)
  with pytest.raises(ZeroDivisionError), shown.compiling():
    _ = 1 / 0
  assert "compiling" in capsys.readouterr().out
  time.sleep(0.05)
  assert capsys.readouterr().out == ""


def test_the_bar_says_compiling_until_the_first_step_is_there(monkeypatch):
  reader, writer = pty.openpty()
  termios.tcsetwinsize(writer, (24, 100))
  monkeypatch.setattr(progress, "BAR_SECONDS", 0.05)
  with os.fdopen(writer, "w") as terminal:
    monkeypatch.setattr(sys, "stderr", terminal)
    shown = progress.Progress(total=10, step=0, quiet=False)
    with shown.compiling():
      time.sleep(0.2)
    before = os.read(reader, 1 << 16).decode()
    shown.update(1, 2.0, {})
    time.sleep(0.15)  # the bar draws itself ten times a second
    shown.update(2, 2.0, {})
    after = os.read(reader, 1 << 16).decode()
    shown.close()
  os.close(reader)
  assert "compiling, 0:00" in before
  assert "compiling" not in after
  assert "2/10" in after


def test_nothing_is_said_of_compiling_where_it_should_be_quiet(capsys):
  with progress.Progress(total=3, step=0, quiet=True).compiling():
    pass
  assert capsys.readouterr() == ("", "")


def test_a_bar_goes_on_when_the_date_is_set_back(monkeypatch):
  date = [2e9]
  monkeypatch.setattr("tqdm.std.time", lambda: date[0])
  stream = io.StringIO()
  with progress.SteadyBar(total=4, file=stream, mininterval=0.0) as bar:
    bar.update(1)
    date[0] -= 86_400.0
    for _ in range(3):
      bar.update(1)
    assert 0 <= bar.format_dict["elapsed"] < 60
  shown = [line for line in stream.getvalue().split("\r") if line]
  assert "4/4" in shown[-1]
  assert len(shown) >= 5
  assert not any("-" in line.partition("[")[2] for line in shown)
