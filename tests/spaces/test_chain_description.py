"""A choice of a chain space in words and bars."""

import dataclasses

from neural_epitome.spaces import chain_description
from tests.spaces.tiny import SPACE


def test_the_table_says_what_every_block_is():
  width = SPACE.largest.width.copy()
  width[1] = 0
  arch = dataclasses.replace(SPACE.largest, width=width)
  rows = chain_description.rows(SPACE, arch)
  assert len(rows) == len(SPACE.positions) + 1
  assert rows[-1] == ["head", "2x2x16", "", "16", "16", "classifier", "1, 1", "32, 32"]
  assert rows[1][3:5] == ["left out", str(SPACE.positions[1].largest)]
  index, read, window, hidden, of, operation, rates, bits = rows[2]
  position = SPACE.positions[2]
  assert (index, read) == ("2", f"{position.size}x{position.size}x8")
  assert window.split()[0] == "5x5"
  assert hidden == of == str(position.largest)
  assert (operation, rates, bits) == ("squeeze_excite", "1, 1", "32, 32")
  text = chain_description.describe(SPACE, arch).table().splitlines()
  assert len(text) == len(rows) + 2
  places = chain_description.describe(SPACE, arch).places
  assert places[1].bars == ()
  assert places[2].bars[0].height == places[2].most == position.largest
