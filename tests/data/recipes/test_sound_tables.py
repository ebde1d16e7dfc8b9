"""ESC-50 and UrbanSound8K from toy folders of their official form."""

import numpy as np
import pytest

from neural_epitome.data import prepare, sources
from neural_epitome.data.options import SignalOptions

soundfile = pytest.importorskip("soundfile")

CLASSES = ("dog", "rooster", "pig")


def _sound(path, pitch, seconds=0.05):
  path.parent.mkdir(parents=True, exist_ok=True)
  soundfile.write(path, np.sin(np.arange(round(44100 * seconds)) * pitch), 44100)


def _esc50(root):
  """Two sounds of each class in each of five folds."""
  lines = ["filename,fold,target,category,esc10,src_file,take"]
  for fold in range(1, 6):
    for label, name in enumerate(CLASSES):
      for take in "AB":
        file = f"{fold}-{100 + label}-{take}-{label}.wav"
        lines.append(f"{file},{fold},{label},{name},False,{100 + label},{take}")
        _sound(root / "audio" / file, 0.01 * (1 + label))
  (root / "meta").mkdir()
  (root / "meta" / "esc50.csv").write_text("\n".join(lines) + "\n")
  return root, "esc50", 5, 6


def _urbansound8k(root):
  """One sound of each class in each of ten folds."""
  lines = ["slice_file_name,fsID,start,end,salience,fold,classID,class"]
  for fold in range(1, 11):
    for label, name in enumerate(CLASSES):
      file = f"{fold}{label}-{label}-0-0.wav"
      lines.append(f"{file},{fold}{label},0.0,0.1,1,{fold},{label},{name}")
      _sound(root / "audio" / f"fold{fold}" / file, 0.01 * (1 + label))
  (root / "metadata").mkdir()
  (root / "metadata" / "UrbanSound8K.csv").write_text("\n".join(lines) + "\n")
  return root, "urbansound8k", 10, 3


@pytest.fixture(params=[_esc50, _urbansound8k], ids=["esc50", "urbansound8k"])
def toy(request, tmp_path):
  return request.param(tmp_path / "source")


def _run(toy, tmp_path, *more):
  root, name, *_ = toy
  return prepare.main([name, f"--source={root}", f"--data_dir={tmp_path}", *more])


def test_the_official_folds_become_splits(toy, tmp_path, capsys):
  _, name, folds, each = toy
  assert _run(toy, tmp_path) == 0
  assert f"fold {folds}" in capsys.readouterr().out
  options = SignalOptions(dataset=name, data_dir=str(tmp_path))
  for fold in range(1, folds + 1):
    source = sources.open_source(options, f"fold_{fold}")
    assert source.classes == CLASSES
    assert len(source) == each
    for index in range(each):
      example = source[index]
      assert example["signal"].shape == (800, 1)  # 0.05 s at 16 kHz
      # The pitch tells the class: so many radians in so many samples.
      crossings = np.sum(np.diff(np.signbit(example["signal"][:, 0])))
      expected = 0.05 * 44100 * 0.01 * (1 + example["label"]) / np.pi
      assert crossings == pytest.approx(expected, abs=1.5)
  everything = "+".join(f"fold_{fold}" for fold in range(1, folds + 1))
  assert len(sources.open_source(options, everything)) == folds * each


def test_the_sample_rate_is_what_was_asked_for(toy, tmp_path):
  assert _run(toy, tmp_path, "--sample_rate=8000") == 0
  options = SignalOptions(dataset=toy[1], data_dir=str(tmp_path))
  assert sources.open_source(options, "fold_1")[0]["signal"].shape == (400, 1)


def test_unreadable_sounds_are_named_skipped_and_counted(toy, tmp_path, capsys):
  root, name, _, each = toy
  broken, absent = sorted(root.rglob("*.wav"))[:: 3 if name == "esc50" else 4][:2]
  broken.write_bytes(b"no sound")
  absent.unlink()
  assert _run(toy, tmp_path) == 0
  out, err = capsys.readouterr()
  assert f"Skipped {broken}" in err
  assert f"Skipped {absent}" in err
  (counts,) = (line for line in out.splitlines() if line.startswith("unreadable"))
  assert sum(map(int, counts.split()[1:])) == 2
  options = SignalOptions(dataset=name, data_dir=str(tmp_path))
  assert len(sources.open_source(options, "fold_1")) < each


def test_a_fold_without_sounds_is_told_in_one_line(toy, tmp_path, capsys):
  for path in toy[0].rglob("*.wav"):
    path.unlink()
  assert _run(toy, tmp_path) == 1
  assert "No sound of fold 1" in capsys.readouterr().err


@pytest.mark.parametrize(
  ("old", "new", "words"),
  [
    (",fold,", ",volume,", "line 2 is broken"),
    (",1,0,dog", ",77,0,dog", "fold 77 is not in 1 to"),
    (",0,dog", ",9,dog", "has two names|has the classes"),
  ],
)
def test_a_broken_table_is_told_with_its_line(toy, tmp_path, capsys, old, new, words):
  (table,) = toy[0].rglob("*.csv")
  table.write_text(table.read_text().replace(old, new))
  assert _run(toy, tmp_path) == 1
  error = capsys.readouterr().err
  assert any(part in error for part in words.split("|"))
  assert error.count("\n") == 1


def test_a_folder_without_its_table_is_told_with_the_address(toy, tmp_path, capsys):
  next(toy[0].rglob("*.csv")).unlink()
  assert _run(toy, tmp_path) == 1
  assert "--source is the folder from https://" in capsys.readouterr().err
