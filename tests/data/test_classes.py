"""Class lists meet by name."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from neural_epitome.data import classes

NAMES = st.lists(st.text("abcé", min_size=1), min_size=1, max_size=6, unique=True)


@given(NAMES, st.randoms(use_true_random=False))
def test_the_same_names_in_another_order_are_matched_one_by_one(names, random):
  mine = random.sample(names, len(names))
  labels = classes.labels(names, mine)
  assert labels is not None
  assert [names[label] for label in labels] == mine
  assert bool(classes.difference(names, mine)) == (mine != names)


@given(NAMES, st.data())
def test_a_part_of_the_names_is_matched_and_a_new_name_never(names, data):
  mine = data.draw(st.lists(st.sampled_from(names), unique=True, min_size=1))
  labels = classes.labels(names, mine)
  assert labels is not None
  assert [names[label] for label in labels] == mine
  assert classes.labels(names, [*mine, "new"]) is None
  assert "'new' only here" in classes.difference(names, [*mine, "new"])


def test_numbers_stand_in_for_names_where_there_are_as_many():
  assert classes.labels(("0", "1", "2"), ("cat", "dog", "emu")) == (0, 1, 2)
  assert classes.labels(("cat", "dog"), ("0", "1", "2")) is None
  assert classes.difference(("cat", "dog"), ("0", "1", "2")) == (
    "2 classes there, 3 here"
  )
  assert not classes.difference(("0", "1"), ("cat", "dog"))


def test_a_name_that_stands_twice_names_no_class():
  assert classes.labels(("crane", "crane"), ("crane", "crane")) == (0, 1)
  assert classes.labels(("crane", "cat", "crane"), ("cat", "crane")) is None


def test_the_two_spellings_of_an_accent_are_one_name():
  spellings = [unicodedata.normalize(form, "café") for form in ("NFC", "NFD")]
  assert spellings[0] != spellings[1]
  assert classes.labels(["a", spellings[0]], [spellings[1], "a"]) == (1, 0)
  assert not classes.difference(spellings[:1], spellings[1:])
