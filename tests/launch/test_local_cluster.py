"""The local launcher, on processes that need no JAX."""

import os
import signal
import subprocess
import sys
import time

import pytest

from launch import local_cluster

pytestmark = pytest.mark.slow

# Prints its process id, and waits for the signal to die of.
WAITS = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"


def run(*programs, grace=0.5):
  commands = [[sys.executable, "-c", program] for program in programs]
  return local_cluster.run(commands, [os.environ] * len(commands), grace=grace)


def is_alive(pid):
  """Whether the process runs; one that has ended and is not yet collected does not."""
  try:
    with open(f"/proc/{pid}/stat") as file:
      return file.read().rpartition(")")[2].split()[0] != "Z"
  except FileNotFoundError:
    return False


def wait_until(condition, seconds=20.0):
  deadline = time.monotonic() + seconds
  while not condition():
    assert time.monotonic() < deadline
    time.sleep(0.02)


def test_each_line_says_whose_it_is(capfdbinary):
  assert run("print('one\\ntwo')", "import sys; print('x', file=sys.stderr)") == 0
  lines = capfdbinary.readouterr().out.splitlines()
  assert sorted(lines) == [b"[0] one", b"[0] two", b"[1] x"]


def test_one_that_fails_ends_the_others_and_gives_the_exit_code(capfd):
  assert run("import time; time.sleep(60)", "raise SystemExit(7)") == 7
  assert run("import time; time.sleep(60)", "import os; os.kill(os.getpid(), 9)") == 137


def test_one_that_ignores_sigterm_is_killed(capfd):
  stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"
  started = time.monotonic()
  assert run(stubborn, "import time; time.sleep(0.5); raise SystemExit(3)") == 3
  assert time.monotonic() - started < 30
  errors = capfd.readouterr().err
  assert errors == "Killed process 0: not ended 1 s after another failed (--grace).\n"


LAUNCHER = f"""
import os, sys
from launch import local_cluster
commands = [[sys.executable, "-c", {WAITS!r}]] * 2
sys.exit(local_cluster.run(commands, [os.environ] * 2, grace=5.0))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc, and a signal of Linux")
@pytest.mark.parametrize(
  ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_nothing_outlives_the_launcher(number, code):
  with subprocess.Popen(
    [sys.executable, "-c", LAUNCHER], stdout=subprocess.PIPE, text=True
  ) as launcher:
    children = [int(launcher.stdout.readline().split()[1]) for _ in range(2)]
    assert all(is_alive(pid) for pid in children)
    launcher.send_signal(number)
    assert launcher.wait(20) == code
  wait_until(lambda: not any(is_alive(pid) for pid in children))


IGNORES = "import signal, time; [signal.signal(n, signal.SIG_IGN) for n in (2, 15)]; "
STUBBORN = f"""
import os, sys
from launch import local_cluster
wait = "print('ready', flush=True); time.sleep(60)"
programs = [{IGNORES!r} + wait, "import time; " + wait]
commands = [[sys.executable, "-c", program] for program in programs]
sys.exit(local_cluster.run(commands, [os.environ] * 2, stop_grace=1.0))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_that_does_not_stop_when_asked_is_killed_with_a_word(number):
  with subprocess.Popen(
    [sys.executable, "-c", STUBBORN],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  ) as launcher:
    for _ in range(2):
      assert launcher.stdout.readline().endswith("ready\n")
    launcher.send_signal(number)
    _, errors = launcher.communicate(timeout=20)
    assert launcher.returncode == 128 + number, "the other ended first, of the signal"
  assert errors == (
    f"Killed process 0: not ended 1 s after {number.name} (--stop_grace).\n"
  )


def test_a_process_has_one_device_of_its_own():
  base = {"XLA_FLAGS": "--x --xla_force_host_platform_device_count=8"}
  variables = local_cluster.environment(base | {"CUDA_VISIBLE_DEVICES": "2,5"}, 1, 2)
  assert variables["CUDA_VISIBLE_DEVICES"] == "5"
  variables = local_cluster.environment(base | {"CUDA_VISIBLE_DEVICES": "2"}, 1, 2)
  assert variables["JAX_PLATFORMS"] == "cpu"
  assert variables["XLA_FLAGS"].split() == [
    "--x",
    "--xla_force_host_platform_device_count=1",
  ]


def test_how_many_must_be_a_number(capsys):
  with pytest.raises(SystemExit) as caught:
    local_cluster.main(["--processes=0"])
  assert caught.value.code == 2
  assert "'0' is not 1 or more" in capsys.readouterr().err


def test_of_those_that_ended_at_once_the_killed_one_was_first():
  commands = ["raise SystemExit(143)", "import os; os.kill(os.getpid(), 9)"]
  processes = [subprocess.Popen([sys.executable, "-c", text]) for text in commands]
  for process in processes:
    process.wait()
  assert local_cluster._first_failure(processes) == -signal.SIGKILL
