"""The page of the controls, from a CSV that the test makes."""

import csv
import itertools

import pytest

from benchmarks.controls import report as controls_report
from benchmarks.controls import routing_study
from benchmarks.controls.methods import METHODS

COLUMNS = (
  "suite,size,backbone,dataset,split,method,rate,seed,stored_params,stored_bytes,"
  "madds,top1,seconds,device,commit,command,trial"
).split(",")
MARKED = "<!-- controls:begin -->\nstale\n<!-- controls:end -->"
BESIDE = (
  "<!-- targets:begin -->\nstale\n<!-- targets:end -->\n\n"
  "<!-- missing:begin -->\nstale\n<!-- missing:end -->\n\n"
  "<!-- routing:begin -->\nstale\n<!-- routing:end -->"
)
TOPS = {"tile": 80.0, "tile_uneven": 81.5, "width": 70.0, "learned": 82.0}


def make_row(method, rate, seed, top1, **more):
  size = int(100_000 // rate)
  return {
    "suite": "2d", "size": "small", "backbone": "net", "dataset": "embedded",
    "split": "test", "method": method, "rate": rate, "seed": seed,
    "stored_params": size, "stored_bytes": 4 * size, "madds": 10 * size,
    "top1": top1, "seconds": 1.0, "device": "cpu", "commit": "c", "command": "x",
    "trial": "factor=2.0",
  } | more  # fmt: skip


@pytest.fixture
def report(tmp_path, capsys):
  """Writes rows and page, runs the script: (exit code, page, stderr)."""
  page = tmp_path / "docs" / "controls.md"
  page.parent.mkdir()
  figures, overview = tmp_path / "results", tmp_path / "index.md"

  def run(rows, text=None, columns=COLUMNS):
    if text is None:
      text = f"# Title\n\n{MARKED}\n\nafter\n\n{BESIDE}\n"
    page.write_text(text)
    overview.write_text("<!-- digest:begin -->\nstale\n<!-- digest:end -->\n")
    with (tmp_path / "controls.csv").open("w", newline="") as file:
      writer = csv.DictWriter(file, columns, extrasaction="ignore")
      writer.writeheader()
      writer.writerows(rows)
    arguments = [f"--csv={tmp_path / 'controls.csv'}", f"--page={page}"]
    arguments += [f"--figures={figures}", f"--overview={overview}"]
    code = controls_report.main(arguments)
    return code, page.read_text(), capsys.readouterr().err

  run.figures, run.overview = figures, overview
  return run


def full():
  rows = [
    make_row(method, rate, seed, top1 - rate / 4 + seed * (1 + (method == "learned")))
    for (method, top1), rate, seed in itertools.product(TOPS.items(), (8, 16), (0, 1))
  ]
  rows += [make_row("dense", 1, 0, 90.0)]
  rows += [make_row("tile", 8, 0, 99.0, size="quick")]
  rows += [make_row("learned_soft", 8, 0, t, split="validation") for t in (60.0, 61.0)]
  return rows


def table_row(text, start, number=0):
  lines = [line for line in text.splitlines() if line.startswith(f"| {start}")]
  return [cell.strip() for cell in lines[number].strip("|").split("|")]


def test_accuracies_differences_choosing_and_figures_stand_between_the_markers(report):
  code, text, err = report(full())
  assert (code, err) == (0, "")
  assert text.startswith("# Title\n\n<!-- controls:begin -->\n\n### 2d, small: net on")
  assert "<!-- controls:end -->\n\nafter\n" in text
  assert "The study has not been run." in text
  assert "stale" not in text
  assert table_row(text, "method") == ["method", "rate 1", "rate 8", "rate 16"]
  tile = ["`tile`", "", "78.50 ± 0.71 (2)", "76.50 ± 0.71 (2)"]
  assert table_row(text, "`tile`") == tile
  sizes = ["stored parameters", "", "12,500", "6,250"]
  assert table_row(text, "stored parameters") == sizes
  difference = table_row(text, "learned \N{MINUS SIGN} tile")
  assert difference[1] == "+2.50 ± 0.50 (2)"
  best = table_row(text, "learned \N{MINUS SIGN} best fixed")
  assert best[2] == "+1.00 ± 0.50 (2), `tile_uneven` of 2"
  assert table_row(text, "learned \N{MINUS SIGN} width")[1] == "+12.50 ± 0.50 (2)"
  assert table_row(text, "`learned_soft`")[1] == "60.50 ± 0.71 (2), 61.00"
  names = {file.name for file in report.figures.iterdir()}
  stem = "controls_2d_small_net_embedded"
  assert names == {f"{stem}.png", f"{stem}_madds.png"}
  assert f"](../results/{stem}.png)" in text


@pytest.mark.slow
def test_the_overview_gets_a_line_a_setting_and_rate(report):
  report(full())
  line = table_row(report.overview.read_text(), "net, embedded", 1)
  assert line[:4] == ["net, embedded", "16", "6,250", "90.00 (1)"]
  assert [cell.split()[0] for cell in line[4:]] == ["66.50", "76.50", "78.00", "79.00"]
  assert line[6].endswith("`tile_uneven` of 2")
  no_dense = [row for row in full() if row["method"] != "dense"]
  report(no_dense)
  line = table_row(report.overview.read_text(), "net, embedded", 1)
  assert line[3:5] == ["", "66.50 ± 0.71 (2)"]
  report([row | {"size": "full"} for row in full()])
  assert "net, embedded" not in report.overview.read_text()


def test_what_folds_is_held_against_the_dense_network(report):
  rows = [*full(), make_row("learned_folded", 1.45, 0, 91.0, madds=750_000)]
  _, text, _ = report(rows)
  assert "runs 0.75 of the dense" in text
  assert "minus the dense one's: +1.00 (1)" in text
  assert "Chosen: `dense` factor=2.0; `width` factor=2.0;" in text


@pytest.mark.slow
def test_methods_keep_their_order_and_writing_again_changes_nothing(report):
  rows = full()
  _, text, _ = report(rows[::-1])
  starts = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")]
  order = ["dense", "width", "tile", "tile_uneven", "learned", "learned_soft"]
  assert starts == order
  assert report(rows[::-1], text)[1] == text


def test_each_net_and_data_set_has_a_section_and_what_was_not_run_says_so(report):
  rows = [make_row("tile", 8, 0, 1.0), make_row("tile", 8, 0, 2.0, backbone="b/c")]
  rows += [make_row("tile", 8, 0, 3.0, suite="1d", split="validation")]
  _, text, _ = report(rows)
  sections = [line for line in text.splitlines() if line.startswith("### ")]
  assert len(sections) == 3
  assert text.count("Not run on the test split.") == 1
  assert (report.figures / "controls_2d_small_b_c_embedded.png").exists()
  assert "No run of this comparison" in report([])[1]


@pytest.mark.parametrize(
  ("rows", "text", "words"),
  [
    ([make_row("tile", 8, 0, "high")], None, "line 2"),
    ([make_row("tile", 8, 0, 1.0)] * 2, None, "two runs of seed 0"),
    ([], "no marker", "needs one line"),
    ([], MARKED, "targets:begin"),
    ([], f"<!-- controls:end --><!-- controls:begin -->{BESIDE}", "needs one line"),
  ],
)
def test_a_mistake_is_one_line_and_leaves_the_page(report, rows, text, words):
  code, after, err = report(rows, text)
  assert code == 1
  assert words in err
  assert err.count("\n") == 1
  assert "stale" in after or after == text


def test_a_missing_column_is_named(report):
  code, _, err = report([], columns=COLUMNS[:-6])
  assert code == 1
  assert "top1" in err


@pytest.mark.slow
def test_what_lacks_three_seeds_is_listed_by_rate(report):
  setting = {"backbone": "mbconv", "dataset": "embedded"}
  rows = [
    make_row(name, (method.rates or (16,))[0], seed, 1.0, **setting)
    for (name, method), seed in itertools.product(METHODS.items(), range(3))
    if (name, seed) not in (("tile", 1), ("int8", 2))
  ]
  _, text, _ = report(rows)
  assert table_row(text, "2d, small: mbconv on embedded")[1] == (
    "rate 16: `tile`, `int8`; rate 8: all; rate 4: all; rate 2: all"
  )
  assert table_row(text, "2d, full: resnet20 on fashion_mnist")[1].startswith(
    "rate 16: all;"
  )


def test_the_study_of_offsets_is_a_table_of_means(report, tmp_path):
  with (tmp_path / "routing_study.csv").open("w", newline="") as file:
    writer = csv.DictWriter(file, routing_study.COLUMNS)
    writer.writeheader()
    for seed, top1 in enumerate((80.0, 82.0)):
      writer.writerow({"arm": "aligned", "rate": "8", "seed": seed, "top1": top1})
      moved = {"moved_mean": 0.2 + seed / 10, "promise_1": 0.5}
      writer.writerow({"arm": "free", "rate": "8", "seed": seed, "top1": 81.0} | moved)
  _, text, _ = report([])
  assert table_row(text, "`aligned`")[:3] == ["`aligned`", "8", "81.00 ± 1.41 (2)"]
  assert table_row(text, "`free`")[2:4] == ["81.00 ± 0.00 (2)", "0.25"]


@pytest.mark.slow
def test_targets_say_what_was_measured_and_whether_it_is_met(report):
  _, text, _ = report(full())
  aims = {
    "learned \N{MINUS SIGN} tile": ("+2.50 ± 0.50 (2)", "met"),
    "learned \N{MINUS SIGN} best fixed": (
      "+1.00 ± 0.50 (2), `tile_uneven` of 2",
      "met",
    ),
    "learned \N{MINUS SIGN} width": ("+12.50 ± 0.50 (2)", "met"),
  }
  for aim, (measured, verdict) in aims.items():
    lines = [
      [cell.strip() for cell in line.strip("|").split("|")]
      for line in text.splitlines()
      if line.startswith(f"| {aim} ≥")
    ]
    assert {line[2] for line in lines} <= {"16", "8"}
    assert all(line[3:] == [measured, verdict] for line in lines)
    assert lines
  folded = make_row("learned_folded", 1.45, 0, 89.0)
  _, text, _ = report([*full(), folded])
  assert "\N{MINUS SIGN}1.00 (1)" in text
  assert "missed" in text
