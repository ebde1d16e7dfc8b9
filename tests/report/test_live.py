"""Curves in a notebook follow the run while it lasts."""

import json
import time

import pytest

import neural_epitome as ne
from neural_epitome.errors import UserError


@pytest.fixture
def shell(tmp_path, monkeypatch):
  """IPython without a front end."""
  shells = pytest.importorskip("IPython.core.interactiveshell")
  monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
  yield shells.InteractiveShell.instance(history_length=0)
  shells.InteractiveShell.clear_instance()


def test_the_picture_is_replaced_when_there_are_new_lines(shell, tmp_path):
  from IPython.utils.capture import capture_output

  workdir = tmp_path / "run"
  with capture_output() as shown:
    with ne.live(workdir, seconds=0.02):
      workdir.mkdir()
      with (workdir / "metrics.jsonl").open("w") as file:
        line = {"step": 1, "kind": "train", "loss": 2.0}
        file.write(json.dumps(line) + "\n")
        file.flush()
        deadline = time.monotonic() + 60
        while len(shown.outputs) < 2 and time.monotonic() < deadline:
          time.sleep(0.02)
        file.write(json.dumps(line | {"step": 2}) + "\n")
  empty, *pictures = shown.outputs
  assert not empty.data.get("image/png")
  assert len(pictures) == 2
  assert all(picture.data["image/png"] for picture in pictures)


def test_a_failed_run_still_shows_how_far_it_came(shell, tmp_path):
  from IPython.utils.capture import capture_output

  line = {"step": 1, "kind": "train", "loss": 2.0}
  (tmp_path / "metrics.jsonl").write_text(json.dumps(line) + "\n")
  with capture_output() as shown, pytest.raises(KeyboardInterrupt):
    with ne.live(tmp_path, seconds=60):
      raise KeyboardInterrupt
  assert shown.outputs[-1].data["image/png"]


def test_outside_a_notebook_another_way_is_named(tmp_path):
  with pytest.raises(UserError, match=r"tensorboard --logdir"):
    with ne.live(tmp_path):
      pass
