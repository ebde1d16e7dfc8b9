"""Parameters and multiply-adds of the published networks, to the digits known."""

import pytest

from neural_epitome import models
from neural_epitome.cost import inventory, totals
from neural_epitome.epitome import plan as plans
from neural_epitome.models import nse_networks, vision_transformer

B1 = models.EfficientNetConfig(variant="b1")


def taken(config, classes=1000, image=(224, 224, 3)):
  return inventory.take(models.create(config, classes), image)


@pytest.mark.parametrize(
  ("config", "parameters"),
  [
    (models.MobileNetV2Config(), 3_504_872),
    (models.EfficientNetConfig(), 5_288_548),
    (B1, 7_794_184),
    (models.ResNetConfig(depth=18), 11_689_512),
    (models.ResNetConfig(depth=50), 25_557_032),
    (vision_transformer.DEIT_TINY, 5_717_416),
    (vision_transformer.DEIT_SMALL, 22_050_664),
    (vision_transformer.VIT_BASE, 86_567_656),
  ],
)
def test_parameters_are_the_published_ones(config, parameters):
  assert taken(config).size == parameters


def test_resnet20_with_projections():
  # 272,474: the figure 0.27M of the paper's table 6, plus 2,752 of two projections
  # and their batch norms.
  assert taken(models.ResNetConfig(), 10, (32, 32, 3)).size == 269_722 + 2_752


@pytest.mark.slow
@pytest.mark.parametrize(
  ("config", "millions"),
  [(models.MobileNetV2Config(), 300.8), (models.EfficientNetConfig(), 385.8)],
)
def test_multiply_adds_are_the_published_ones(config, millions):
  madds = sum(use.madds for use in taken(config).kernels)
  assert round(madds / 1e6, 1) == millions


# torchvision says 17.564 of ViT-B/16 and counts attention's two products, as the 1.08
# that papers on DeiT-tiny start from does not, and their 1.26 does.
@pytest.mark.slow
@pytest.mark.parametrize(
  ("config", "of_kernels", "billions"),
  [
    (vision_transformer.DEIT_TINY, 1.075, 1.254),
    (vision_transformer.DEIT_SMALL, 4.241, 4.599),
    (vision_transformer.VIT_BASE, 16.849, 17.564),
  ],
)
def test_attention_counts_among_the_multiply_adds(config, of_kernels, billions):
  network = taken(config)
  assert round(sum(use.madds for use in network.kernels) / 1e9, 3) == of_kernels
  price = totals.price(plans.make(network.kernels, {}), network)
  assert round(price.madds / 1e9, 3) == billions


@pytest.mark.slow
@pytest.mark.parametrize(
  ("config", "madds", "parameters"),
  [
    (nse_networks.NSENET27, 326.3, 4.57),
    (nse_networks.NSENET, 331.0, 4.57),
    (nse_networks.NSENET_GPU, 1471.1, 15.74),
  ],
)
def test_nse_networks_cost_what_their_published_encodings_say(
  config, madds, parameters
):
  network = taken(config)
  assert round(sum(use.madds for use in network.kernels) / 1e6, 1) == madds
  assert round(network.size / 1e6, 2) == parameters


@pytest.mark.slow
def test_grouped_squeeze_excitation_and_classifier_store_less():
  config = models.EfficientNetConfig(grouped_se=True, classifier_groups=4)
  grouped = {use.path: use for use in taken(config).kernels}
  dense = {use.path: use for use in taken(models.EfficientNetConfig()).kernels}
  for part in ("squeeze", "excite"):
    path = f"block_3/se/{part}/kernel"
    assert grouped[path].feature_group_count == 6
    assert grouped[path].size * 6 == dense[path].size
  assert grouped["classifier/kernel"].size * 4 == dense["classifier/kernel"].size


@pytest.mark.slow
@pytest.mark.parametrize(
  "config",
  [models.MobileNetV2Config(), models.EfficientNetConfig(), models.ResNetConfig()],
)
def test_parameters_do_not_depend_on_the_image_size(config):
  sizes = (28, 33, 96)
  assert len({taken(config, 10, (s, s, 1)).size for s in sizes}) == 1
