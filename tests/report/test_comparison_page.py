import json
import pathlib

import pytest

from neural_epitome.errors import UserError
from neural_epitome.report import comparison, comparison_page


def summary(*datasets):
  return comparison.summarise(
    {"method": method, "seed": seed, "top1": 80.0 + seed, "dataset": dataset}
    | {"backbone": "net", "stored_params": 10, "stored_bytes": 40, "madds": 90}
    for dataset in datasets
    for method in ("<tile>", "tile")
    for seed in (0, 1)
  )


def test_the_page_stands_alone_and_the_json_holds_the_table(tmp_path):
  left_out = {pathlib.Path("runs/<x>"): "diverged"}
  files = comparison_page.write(tmp_path / "out", summary("d"), left_out)
  names = [file.name for file in files]
  assert names == ["index.html", "comparison.json", "stored_params.png", "madds.png"]
  text = files[0].read_text()
  assert "&lt;tile&gt;" in text
  assert "<tile>" not in text
  assert "runs/&lt;x&gt;: diverged" in text
  assert text.count("data:image/png;base64,") == 2
  data = json.loads(files[1].read_text())
  assert data["left_out"] == {"runs/<x>": "diverged"}
  assert [row["n"] for row in data["methods"]] == [2, 2]


@pytest.mark.slow
def test_each_setting_has_figures_of_its_own(tmp_path):
  files = comparison_page.write(tmp_path, summary("d[:10]", "a/b"), {})
  names = {file.name for file in files[2:]}
  assert {"net-d_10_-madds.png", "net-a_b-stored_params.png"} < names
  assert len(names) == 4
  assert all(file.exists() for file in files)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(UserError, match=r"file cannot be written.*--output"):
    comparison_page.write(tmp_path / "file", summary("d"), {})
