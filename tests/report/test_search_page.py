"""What the page of a search says; how it looks was looked at."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from neural_epitome.report import search_front, search_page

lines = st.lists(
  st.fixed_dictionaries({"madds": st.integers(1, 20), "top1": st.integers(0, 20)}),
  min_size=1,
)


@given(lines)
def test_the_front_is_what_no_other_choice_beats(choices):
  front = search_front.front(choices, "madds")

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
