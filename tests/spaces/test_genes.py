"""Any choice of any space is a vector of options, and back."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from neural_epitome.spaces.genes import Genes
from neural_epitome.spaces.rate_space import RateSpace
from tests.spaces import test_table_space, tiny

SPACES = {
  "chain": tiny.SPACE,
  "rates": RateSpace(("a", "b", "c"), (2, 5, 1)),
  "table": test_table_space.SPACE,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_a_choice_is_its_options(name):
  space = SPACES[name]
  genes = Genes(space)
  for arch in [space.largest, space.smallest, *space.sample(0, count=20)]:
    options = genes.options(arch)
    assert options.dtype == np.int32
    assert len(options) == len(genes.counts)
    assert genes.arch(options) == space.canonical(arch)


@hypothesis.given(st.data())
@pytest.mark.parametrize("name", SPACES)
def test_all_options_make_a_choice_of_the_space(name, data):
  space = SPACES[name]
  genes = Genes(space)
  options = [data.draw(st.integers(0, count - 1)) for count in genes.counts]
  arch = genes.arch(options)
  assert space.from_json(arch.to_json()) == arch


def test_a_value_that_a_gene_has_not_is_an_error():
  part = SPACES["table"].part({"options": [[0, 1], [0], [1]]})
  with pytest.raises(ValueError, match="not in list"):
    Genes(part).options(SPACES["table"].largest)


@pytest.mark.parametrize(
  ("name", "places"),
  [
    ("chain", [*range(4)] * 3 + [0, 0, 1, 1, 2, 2, 3, 3, 4, 4] * 2),
    ("rates", [0, 1, 2]),
    ("table", [*range(SPACES["table"].places)]),
  ],
)
def test_a_gene_is_at_the_place_of_its_block(name, places):
  assert list(Genes(SPACES[name]).places) == places
