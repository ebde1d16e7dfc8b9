import pathlib
import platform
import subprocess

import jax

from neural_epitome.runs import environment


def git(directory, *arguments):
  who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
  command = ["git", "-C", str(directory), *who, *arguments]
  done = subprocess.run(command, capture_output=True, text=True, check=True)
  return done.stdout.strip()


def test_the_commit_is_told_with_a_note_where_files_were_changed(tmp_path):
  git(tmp_path, "init", "-q")
  assert environment.commit(tmp_path) is None, "there is none yet"
  file = tmp_path / "code.py"
  file.write_text("a = 1\n")
  git(tmp_path, "add", "code.py")
  git(tmp_path, "commit", "-q", "-m", "One")
  head = git(tmp_path, "rev-parse", "HEAD")
  assert environment.commit(tmp_path) == head
  (tmp_path / "notes.txt").write_text("no code")
  assert environment.commit(tmp_path) == head
  file.write_text("a = 2\n")
  assert environment.commit(tmp_path) == f"{head} with local changes"


def test_a_folder_inside_somebodys_repository_has_no_commit_of_its_own(tmp_path):
  git(tmp_path, "init", "-q")
  git(tmp_path, "commit", "-q", "--allow-empty", "-m", "Theirs")
  inside = tmp_path / "lib"
  inside.mkdir()
  assert environment.commit(inside) is None
  (inside / ".git").write_text("gitdir: nowhere\n")
  assert environment.commit(inside) is None, "a checkout that is broken"


def test_versions_devices_and_command_are_those_of_this_process():
  found = environment.describe("python main.py")
  assert found["command"] == "python main.py"
  assert found["python"] == platform.python_version()
  assert found["jax"] == jax.__version__
  assert found["devices"].startswith(f"{jax.device_count()} x ")
  assert all(isinstance(value, str) for value in found.values())
  assert "command" not in environment.describe(None)
  root = pathlib.Path(__file__).parents[2]
  assert ("commit" in found) == (environment.commit(root) is not None)
