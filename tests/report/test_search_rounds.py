"""What the page says of a search's rounds; how it looks was looked at."""

import pytest

from neural_epitome.report import search_rounds

SEARCH = {
  "metric": "madds",
  "budget": 10.0,
  "window": [8.0, 10.0],
  "warnings": ["Of <all> operations few are shown."],
  "rounds": [
    {"options": [[0, 1], [2, 3]], "kept": [[], []], "coverage": 0.5},
    {"options": [[1, 4], [2, 5]], "kept": [[1], [2]], "coverage": 0.75},
  ],
}
LINES = [
  {"round": 1, "madds": 9.0, "top1": 0.5},
  {"round": 1, "madds": 7.0, "top1": 0.9},
  {"round": 2, "madds": 9.0, "top1": 0.6},
  {"round": 2, "madds": 9.5, "top1": 0.55},
]
GATES = {
  "operations": [[0, 1], [2, 3]],
  "history": [[[0.5, 0.5], [0.5, 0.5]], [[0.9, 0.0], [0.4, 0.6]]],
}


@pytest.mark.slow
def test_rounds_are_told_with_their_fronts_coverage_and_gates(tmp_path):
  parts = search_rounds.sections(tmp_path, SEARCH, LINES, [GATES, GATES])
  text = "".join(parts)
  assert "Of &lt;all&gt; operations" in text
  assert "Gates over time" in text
  assert text.count("<img") == 2
  # What lies below the window is scored, and neither on the front nor the best.
  _, first, second = search_rounds._rows(SEARCH, LINES)
  assert first == ["1", "4", "0", "50%", "2", "1", "1", "50.00%"]
  assert second == ["2", "4", "2", "75%", "2", "2", "1", "60.00%"]


def test_a_search_without_rounds_has_its_notes_alone(tmp_path):
  one = {"metric": "madds", "budget": 10.0, "warnings": ["note"], "rounds": []}
  assert search_rounds.sections(tmp_path, one, LINES, []) == ["<p>note</p>"]
  assert search_rounds.sections(tmp_path, {}, LINES, []) == []
  assert not list(tmp_path.iterdir())
