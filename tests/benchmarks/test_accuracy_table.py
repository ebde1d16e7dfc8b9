"""The table of the README and of the page of results."""

import pytest

from benchmarks import common, pages
from benchmarks.controls import accuracy_table
from neural_epitome.errors import UserError


@pytest.mark.slow
def test_both_pages_have_the_accuracies_of_the_csv_and_the_sizes_of_the_code():
  table = accuracy_table.table(common.read("accuracy_embedded"))
  for page in accuracy_table.PAGES:
    assert page.read_text() == pages.edit(page, {"accuracy": table})


def test_a_page_without_its_markers_is_refused(tmp_path):
  (tmp_path / "page.md").write_text("nothing marked")
  with pytest.raises(UserError, match="accuracy:begin"):
    pages.edit(tmp_path / "page.md", {"accuracy": "|"})
