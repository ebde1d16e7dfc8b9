"""A table as a space: what it knows, what is cheaper, and what stands for what."""

import itertools

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from neural_epitome.errors import UserError
from neural_epitome.spaces.table import Choice, Table
from neural_epitome.spaces.table_space import TableSpace

GENES = {"kernel": (3, 5, 7), "depth": (1, 2), "operation": ("conv", "pool")}


def rows(lacking=()):
  """A row for each combination, its price made up and all different."""
  return [
    {"kernel": k, "depth": d, "operation": o, "madds": k * k * d + (o == "conv") / 2}
    | {"top1": 0.5 + 0.01 * k - 0.1 * (d == 1)}
    for k, d, o in itertools.product(*GENES.values())
    if (k, d, o) not in lacking
  ]


SPACE = TableSpace(Table.of_rows(rows(), GENES, ("madds", "top1")), "madds")
ANY = st.sampled_from(SPACE.table.choices)


def choice(*options):
  return Choice(np.array(options, np.int32))


def test_it_says_what_was_measured():
  assert SPACE.measured(choice(2, 1, 0)) == {"madds": 98.5, "top1": pytest.approx(0.57)}
  assert SPACE.largest == choice(2, 1, 0)
  assert SPACE.smallest == choice(0, 0, 1)


@hypothesis.given(ANY)
def test_choices_survive_json(arch):
  assert SPACE.from_json(arch.to_json()) == arch


@hypothesis.given(ANY, st.integers(0, 2))
def test_a_step_down_is_the_next_cheaper_option_of_one_gene(arch, place):
  others = [
    other
    for other in SPACE.table.choices
    if np.all(np.delete(other.options == arch.options, place))
    and SPACE.price_of(other) < SPACE.price_of(arch)
  ]
  expected = sorted(others, key=SPACE.price_of)[-1:]
  assert SPACE.smaller(arch, place) == expected


def test_a_part_has_its_own_options_and_extremes():
  part = SPACE.part({"options": [[0, 1], [0, 1], [0]]})
  assert part.largest == choice(1, 1, 0)
  drawn = set(part.sample(0, 1, count=200))
  assert len(drawn) == 4
  assert all(arch.options[0] < 2 and arch.options[2] == 0 for arch in drawn)
  assert part.smaller(choice(0, 0, 0), 2) == []
  part.check()
  with pytest.raises(UserError, match="no choice of the options"):
    SPACE.part({"options": [[], [0], [0]]}).check()


def test_all_encodings_are_drawn_evenly_and_by_the_seed_alone():
  drawn = SPACE.sample(3, 7, count=6000)
  assert drawn == SPACE.sample(3, 7, count=6000)
  counts = [drawn.count(arch) for arch in SPACE.table.choices]
  np.testing.assert_allclose(counts, 500, atol=120)


def test_what_the_table_lacks_stands_for_its_nearest_choice_and_is_none_itself():
  table = Table.of_rows(rows(lacking=[(3, 1, "conv")]), GENES, ("madds", "top1"))
  space = TableSpace(table, "madds")
  assert space.canonical(choice(0, 0, 0)) == choice(0, 0, 1)
  with pytest.raises(UserError, match="is no choice of the table"):
    space.from_json(choice(0, 0, 0).to_json())


def test_encodings_of_one_network_have_one_that_stands_for_them():
  encodings = np.array([[0, 1], [1, 0], [1, 1]])
  genes = {"first": ("a", "b"), "second": ("a", "b")}
  canonical = np.array([0, 0, 2])
  table = Table(genes, encodings, {"price": np.array([1.0, 1.0, 3.0])}, canonical)
  space = TableSpace(table, "price")
  assert space.canonical(choice(1, 0)) == choice(0, 1)
  assert space.from_json({"options": [1, 0]}) == choice(0, 1)
  assert set(space.sample(0, count=50)) == {choice(0, 1), choice(1, 1)}


@pytest.mark.parametrize(
  ("change", "words"),
  [
    ({"kernel": 9}, "Row 12"),
    ({"top1": "?"}, "could not convert"),
    ({}, "that another row is"),
  ],
)
def test_rows_that_are_no_table_are_told(change, words):
  with pytest.raises(UserError, match=words):
    Table.of_rows([*rows(), rows()[0] | change], GENES, ("madds", "top1"))


@pytest.mark.parametrize(
  "data", [None, {}, {"options": [0, 1]}, {"options": [0, 1, 7]}, {"options": [[0]]}]
)
def test_what_is_no_choice_is_refused(data):
  with pytest.raises(UserError, match=r"mine=.* is no choice of the table"):
    SPACE.from_json(data, "mine")


def test_a_price_that_the_table_lacks_is_told():
  with pytest.raises(UserError, match=r"price='madd' is no .* Did you mean madds"):
    TableSpace(SPACE.table, "madd")
  with pytest.raises(UserError, match="has no row"):
    TableSpace(Table.of_rows([], GENES, ("madds", "top1")), "madds")


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_price_that_is_not_finite_is_told_with_its_row(value):
  table = Table.of_rows(
    [*rows()[:5], rows()[5] | {"madds": value}], GENES, ("madds", "top1")
  )
  with pytest.raises(UserError, match=f"Row 5 of the table has madds={value}"):
    TableSpace(table, "madds")
