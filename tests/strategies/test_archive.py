"""An archive holds what no other choice beats, whatever the order it was told in."""

import json

import hypothesis
import pytest
from hypothesis import strategies as st

from neural_epitome.errors import UserError
from neural_epitome.spaces.rate_space import RateSpace
from neural_epitome.strategies.archive import ParetoArchive, non_dominated

SPACE = RateSpace(("a", "b"), (4, 5))
EMPTY = ParetoArchive(minimised=("madds", "bytes"), maximised=("top1",))
# Few different numbers, so that there are ties.
NUMBER = st.integers(0, 3).map(float)
MEASURED = st.lists(
  st.tuples(
    st.tuples(st.integers(0, 3), st.integers(0, 4)).map(SPACE.of),
    st.fixed_dictionaries(dict.fromkeys(EMPTY.objectives, NUMBER)),
  ),
  max_size=25,
)


def beats(one, other):
  """By the definition, objective by objective."""
  gains = [other[name] - one[name] for name in EMPTY.minimised]
  gains += [one[name] - other[name] for name in EMPTY.maximised]
  return min(gains) >= 0 and max(gains) > 0


def as_set(archive):
  return {(point.arch, point.values) for point in archive.points}


@hypothesis.given(MEASURED)
def test_it_holds_all_points_that_none_beats_and_no_other(measured):
  expected = {
    (arch, tuple(values[name] for name in EMPTY.objectives))
    for arch, values in measured
    if not any(beats(other, values) for _, other in measured)
  }
  archive = EMPTY.add(measured)
  assert as_set(archive) == expected
  assert len(archive.points) == len(expected)


@hypothesis.given(MEASURED, st.randoms(use_true_random=False), st.integers(0, 25))
def test_the_order_of_adding_does_not_matter(measured, random, cut):
  shuffled = random.sample(measured, len(measured))
  assert EMPTY.add(shuffled[:cut]).add(shuffled[cut:]) == EMPTY.add(measured)


@hypothesis.given(MEASURED)
def test_it_survives_json(measured):
  archive = EMPTY.add(measured)
  text = json.dumps(archive.to_json())
  assert ParetoArchive.from_json(json.loads(text), SPACE) == archive


def test_adding_leaves_the_archive_as_it_was():
  archive = EMPTY.add([(SPACE.largest, {"madds": 2, "bytes": 2, "top1": 0.5})])
  before = archive.points
  better = archive.add([(SPACE.smallest, {"madds": 1, "bytes": 1, "top1": 0.6})])
  assert archive.points == before
  assert [point.arch for point in better.points] == [SPACE.smallest]


def test_ties_stay_side_by_side_and_one_choice_told_twice_is_one_point():
  values = {"madds": 1.0, "bytes": 1.0, "top1": 0.5, "seconds": 3.0}
  tied = [(SPACE.largest, values), (SPACE.smallest, values), (SPACE.largest, values)]
  archive = EMPTY.add(tied)
  assert len(archive.points) == 2
  expected = {"madds": 1.0, "bytes": 1.0, "top1": 0.5}
  assert archive.measured(archive.points[0]) == expected


def test_without_objectives_everything_ties():
  assert non_dominated([[], []]) == [0, 1]
  assert non_dominated([]) == []


@pytest.mark.parametrize(
  ("values", "words"),
  [
    ({"madds": 1.0, "top1": 0.5}, "bytes=None"),
    ({"madds": 1.0, "bytes": 1.0, "top1": float("nan")}, "top1=nan"),
    ({"madds": float("inf"), "bytes": 1.0, "top1": 0.5}, "madds=inf"),
  ],
)
def test_a_measurement_that_does_not_compare_is_refused(values, words):
  with pytest.raises(UserError, match=words):
    EMPTY.add([(SPACE.largest, values)])


@pytest.mark.parametrize(
  ("data", "words"),
  [
    ([], "must have minimised"),
    ({"points": []}, "archive.minimised"),
    ({"minimised": [], "maximised": [], "points": [3]}, r"archive.points\[0\]"),
    (
      {"minimised": [], "maximised": [], "points": [{"arch": {"member": [9, 9]}}]},
      r"archive.points\[0\].arch is no choice",
    ),
  ],
)
def test_a_file_that_is_no_archive_is_told(data, words):
  with pytest.raises(UserError, match=words):
    ParetoArchive.from_json(data, SPACE)
