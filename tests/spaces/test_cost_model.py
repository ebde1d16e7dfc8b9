"""A choice costs what the network that it stands for costs."""

import pytest

from neural_epitome import models
from neural_epitome.cost import inventory, totals
from neural_epitome.spaces import chain_generators
from neural_epitome.spaces.cost_model import Prices
from tests.spaces.tiny import SPACE

PRICES = Prices(SPACE, classes=3, channels=1)


@pytest.mark.parametrize(
  "arch", [*SPACE.sample(21, count=6), SPACE.largest, SPACE.smallest], ids=range(8)
)
def test_prices_are_those_of_the_plain_network(arch):
  network = models.create(SPACE.network(arch), 3)
  listing = inventory.take(network, (8, 8, 1))
  plan = chain_generators.of_choice(SPACE, arch, 3).plan(listing)
  expected = totals.price(plan, listing, "fold")
  price = PRICES.of(arch)
  assert price["madds"] == expected.madds
  assert price["parameters"] == expected.stored_params
  assert price["bytes"] == expected.stored_bytes


@pytest.mark.slow
def test_every_smaller_choice_is_no_dearer_and_one_of_them_cheaper():
  for arch in SPACE.sample(5, count=10):
    for block in range(SPACE.places):
      for other in SPACE.smaller(arch, block):
        assert PRICES.of(other)["bytes"] < PRICES.of(arch)["bytes"]
        assert PRICES.of(other)["madds"] <= PRICES.of(arch)["madds"]
