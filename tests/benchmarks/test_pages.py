"""What stands between the markers of README and docs is what the CSVs say."""

import re

import pytest

from benchmarks import common, pages
from benchmarks.compress import fitting
from benchmarks.controls import accuracy_table
from benchmarks.controls import digest as controls_digest
from benchmarks.controls import report as controls_report
from benchmarks.controls import rows as control_rows
from benchmarks.controls import tables as controls_tables
from benchmarks.controls import targets as controls_targets
from benchmarks.inference import report as inference_report
from benchmarks.search import report as search_report
from neural_epitome.errors import UserError


def controls(tmp_path):
  rows = controls_report.read(common.RESULTS / "controls.csv")
  study = control_rows.read(common.RESULTS / "routing_study.csv")
  # Figures are drawn elsewhere; their links are those of the page.
  block = controls_tables.block(rows, tmp_path, tmp_path)
  links = re.sub(r"\]\((controls_\w+\.png)\)", r"](../../benchmarks/results/\1)", block)
  return {
    "controls": links,
    "targets": controls_targets.table(rows),
    "missing": controls_digest.not_run(rows),
    "routing": controls_digest.study(study),
  }


def inference(tmp_path):
  del tmp_path
  cases = inference_report.by_case(common.read("inference"))
  return {
    "targets": inference_report.targets(cases),
    "narrow": inference_report.times(cases, "narrow"),
    "wide": inference_report.times(cases, "wide"),
  }


def overview(tmp_path):
  del tmp_path
  rows = controls_report.read(common.RESULTS / "controls.csv")
  cases = inference_report.by_case(common.read("inference"))
  return {
    "digest": controls_digest.digest(rows),
    "inference": inference_report.digest(cases),
  }


PAGES = {
  "controls.md": controls,
  "inference.md": inference,
  "index.md": overview,
  "fitting.md": lambda _: {"fitting": fitting.table(common.read("fitting"))},
}


@pytest.mark.parametrize("name", PAGES)
def test_the_tables_of_a_page_are_those_of_its_csv(name, tmp_path):
  page = pages.DOCS / name
  parts = PAGES[name](tmp_path)
  assert page.read_text() == pages.edit(page, parts)


def test_the_tables_of_the_search_are_those_of_its_csv(tmp_path):
  page = tmp_path / "search.md"
  page.write_text((pages.DOCS / "search.md").read_text())
  assert search_report.main([f"--page={page}"]) == 0
  assert page.read_text() == (pages.DOCS / "search.md").read_text()


def test_the_readme_has_the_accuracies_of_the_csv_and_the_sizes_of_the_code():
  page = pages.ROOT / "README.md"
  table = accuracy_table.table(common.read("accuracy_embedded"))
  assert page.read_text() == pages.edit(page, {"accuracy": table})


def test_a_page_without_its_markers_is_refused(tmp_path):
  (tmp_path / "page.md").write_text("nothing marked")
  with pytest.raises(UserError, match="accuracy:begin"):
    pages.edit(tmp_path / "page.md", {"accuracy": "|"})
