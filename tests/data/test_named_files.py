"""Files are known by whatever name people give them."""

from pathlib import Path

import pytest

from neural_epitome.data import named_files
from neural_epitome.errors import UserError


@pytest.fixture
def place(tmp_path, monkeypatch):
  for name in ("a.png", "b.JPG", "c,d.png", "e, f/g.jpeg", "e, f/n/h.png", "t.txt"):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
  (tmp_path / "e, f" / "._h.png").touch()
  (tmp_path / "s").mkdir()
  (tmp_path / "s" / "x.wav").touch()
  monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
  ("named", "files"),
  [
    (["a.png", "b.JPG"], ["a.png", "b.JPG"]),
    (["a.png,b.JPG"], ["a.png", "b.JPG"]),
    (["c,d.png"], ["c,d.png"]),
    (["a.png,c,d.png,b.JPG"], ["a.png", "c,d.png", "b.JPG"]),
    (["e, f"], ["e, f/g.jpeg", "e, f/n/h.png"]),
    (["a.png,e, f"], ["a.png", "e, f/g.jpeg", "e, f/n/h.png"]),
    (["*.png"], ["a.png", "c,d.png"]),
    (["**/*.png"], ["a.png", "c,d.png", "e, f/n/h.png"]),
    (["a.png", "a.png,", "*.png"], ["a.png", "c,d.png"]),
    (["absent.png"], ["absent.png"]),
    ([""], []),
  ],
)
@pytest.mark.usefixtures("place")
def test_files_are_those_that_are_named(named, files):
  assert named_files.find(named, "image") == [Path(file) for file in files]


@pytest.mark.usefixtures("place")
def test_a_folder_of_sounds_is_for_a_network_of_sounds():
  assert named_files.find(["s"], "signal") == [Path("s/x.wav")]
  with pytest.raises(UserError, match="no images in it"):
    named_files.find(["s"], "image")
  with pytest.raises(UserError, match="matches no file"):
    named_files.find(["*.tiff"], "image")
