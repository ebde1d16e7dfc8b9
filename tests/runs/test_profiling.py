"""Which steps may be traced; traces themselves are written in test_main.py."""

import pytest

from neural_epitome.errors import UserError
from neural_epitome.runs import profiling


def test_steps_are_told_as_start_and_end():
  assert profiling.parse_steps("100:105") == range(100, 105)
  assert profiling.parse_steps("0:1") == range(1)


@pytest.mark.parametrize("text", ["", "5", "5:", ":5", "5:5", "6:5", "-1:5", "a:b"])
def test_other_words_are_refused(text):
  with pytest.raises(UserError, match=r"must be START:END, as in 100:105"):
    profiling.parse_steps(text)


@pytest.mark.parametrize("steps", [range(8, 11), range(-2, 3), range(3, 3)])
def test_steps_outside_the_run_are_refused(steps):
  profiling.check_steps(range(8, 10), 10)
  with pytest.raises(UserError, match="do not lie in a run of 10 steps"):
    profiling.check_steps(steps, 10)


def test_a_resume_among_the_steps_traces_the_rest_and_one_after_them_says_so(tmp_path):
  said = []
  profile = profiling.Profile(range(8, 10), tmp_path, said.append)
  assert [step for step in range(12) if profile.begins_at(step)] == [8, 9]
  assert not any(profile.ends_at(step) for step in range(12))
  profile.close()
  profile.close()
  assert said == ["No trace: no step of 8:10 was run."]
