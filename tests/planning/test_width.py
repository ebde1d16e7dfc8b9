"""Width-scaled networks of a wanted size."""

import pytest

from neural_epitome import models
from neural_epitome.cost import inventory
from neural_epitome.errors import UserError
from neural_epitome.planning.width import match_width

SMALL = models.MobileNetV2Config(
  stages=((4, 32, 1), (6, 48, 1)), stage_strides=(2, 2), head=256, head_shrinks=True
)
SHAPE = (28, 28, 1)


def size(config):
  return inventory.take(models.create(config, 10), SHAPE).size


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.7, 0.33])
@pytest.mark.parametrize(
  "config", [SMALL, models.ResNetConfig(depth=8)], ids=lambda c: c.kind
)
def test_the_network_stores_what_is_wanted_within_one_percent(config, share):
  target = int(share * size(config))
  scaled = match_width(config, target, 10, SHAPE)
  assert abs(size(scaled) - target) <= 0.01 * target
  assert scaled.width < config.width
  narrowest = min(
    use.shape[-1] for use in inventory.take(models.create(scaled, 10), SHAPE).kernels
  )
  assert narrowest >= 8


@pytest.mark.slow
def test_wider_networks_are_found_too():
  target = 2 * size(SMALL)
  assert size(match_width(SMALL, target, 10, SHAPE)) == pytest.approx(target, rel=0.01)


@pytest.mark.slow
def test_less_than_eight_channels_are_refused_by_the_name_of_the_layer():
  with pytest.raises(UserError, match=r"width.*(stem|block_\d/\w+)/kernel.*fewest"):
    match_width(SMALL, size(SMALL) // 50, 10, SHAPE)
