"""What the page of a search says; how it looks was looked at."""

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from neural_epitome.report import search_page
from tests.spaces.tiny import SPACE

lines = st.lists(
  st.fixed_dictionaries({"madds": st.integers(1, 20), "top1": st.integers(0, 20)}),
  min_size=1,
)


@given(lines)
def test_the_front_is_what_no_other_choice_beats(choices):
  front = search_page.front(choices, "madds")

  def beaten(choice):
    return any(
      other["madds"] <= choice["madds"]
      and other["top1"] >= choice["top1"]
      and (other["madds"], other["top1"]) != (choice["madds"], choice["top1"])
      for other in choices
    )

  kept = {(choice["madds"], choice["top1"]) for choice in front}
  assert kept == {
    (choice["madds"], choice["top1"]) for choice in choices if not beaten(choice)
  }
  assert len(kept) == len(front)
  assert [choice["madds"] for choice in front] == sorted(
    choice["madds"] for choice in front
  )


def test_the_table_says_what_every_block_is():
  width = SPACE.largest.width.copy()
  width[1] = 0
  arch = dataclasses.replace(SPACE.largest, width=width)
  rows = search_page.arch_rows(SPACE, arch)
  assert len(rows) == len(SPACE.positions) + 1
  assert rows[-1] == ["head", "2x2x16", "", "16", "16", "classifier", "1, 1", "32, 32"]
  assert rows[1][3:5] == ["left out", str(SPACE.positions[1].largest)]
  index, read, window, hidden, of, operation, rates, bits = rows[2]
  position = SPACE.positions[2]
  assert (index, read) == ("2", f"{position.size}x{position.size}x8")
  assert window.split()[0] == "5x5"
  assert hidden == of == str(position.largest)
  assert (operation, rates, bits) == ("squeeze_excite", "1, 1", "32, 32")
  text = search_page.arch_table(SPACE, arch).splitlines()
  assert len(text) == len(rows) + 2


def test_the_result_says_what_is_known_so_far():
  search = {
    "price": {"madds": 5e6},
    "largest": {"madds": 1e7},
    "top1": 0.5,
    "evaluations": 1200,
    "seconds": 3.0,
  }
  report = {"search": search}
  assert "50.0% of 1e+07" in search_page.result_table(report)
  assert "1,200" in search_page.result_table(report)
  assert "trained" not in search_page.result_table(report)
  final = {"top1": np.float32(0.75), "seconds": 12.0}
  assert "75.00%" in search_page.result_table(report | {"final": final})
