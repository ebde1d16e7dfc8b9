import pytest

from neural_epitome.report import methods


@pytest.mark.parametrize(
  ("name", "family"),
  [
    ("tile", "fixed sampling"),
    ("mbv2_tile", "fixed sampling"),
    ("tile_uneven", "fixed sampling"),
    ("mbv2_width", "architecture"),
    ("resnet20_epitome", "learned"),
    ("learned_tile_start", "learned"),
    ("low_rank", "other compression"),
    ("textile", "other"),
    ("quick", "other"),
  ],
)
def test_a_name_tells_its_family(name, family):
  assert methods.family(name) == family


def test_the_longest_known_method_is_meant():
  assert methods.known("mbv2_tile_uneven") == "tile_uneven"


def test_variants_follow_their_method_and_strangers_come_last():
  expected = [*methods.METHODS, "learned_a", "learned_b", "stranger"]
  assert sorted(reversed(expected), key=methods.order) == expected
