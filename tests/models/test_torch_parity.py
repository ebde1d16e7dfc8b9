"""Logits against plain torch modules with torchvision's names, weights converted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_epitome import models

torch = pytest.importorskip(
  "torch", reason="parity with torch needs: pip install 'neural-epitome[parity]'"
)

from tests.models import torch_reference  # noqa: E402 (imports torch)

CASES = {
  "mobilenet_v2": (
    models.MobileNetV2Config(),
    torch_reference.MobileNetV2,
    torch_reference.mobilenet_v2_names,
    "mobilenetv2_100",
  ),
  "efficientnet_b0": (
    models.EfficientNetConfig(),
    torch_reference.EfficientNetB0,
    torch_reference.efficientnet_b0_names,
    "efficientnet_b0",
  ),
  "resnet50": (
    models.ResNetConfig(depth=50),
    torch_reference.ResNet50,
    torch_reference.resnet50_names,
    "resnet50",
  ),
}


def assert_logits_equal(config, reference, variables, size):
  pixels = np.random.default_rng(0).standard_normal((2, size, size, 3))
  pixels = pixels.astype(np.float32)
  with torch.no_grad():
    expected = reference(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()))
  expected = expected.numpy()
  module = models.create(config, expected.shape[-1])
  actual = jax.jit(module.apply)(variables, jnp.asarray(pixels))
  scale = np.abs(expected).max()
  assert scale > 0.1
  np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4 * scale)


@pytest.mark.parametrize("size", [64, 75])
@pytest.mark.parametrize("name", sorted(CASES))
def test_logits_equal_a_plain_torch_module(name, size):
  config, build, names, _ = CASES[name]
  reference = torch_reference.randomize(build(classes=20))
  variables = torch_reference.convert(reference, names())
  assert_logits_equal(config, reference, variables, size)


@pytest.mark.parametrize("name", sorted(CASES))
def test_logits_equal_timm(name):
  timm = pytest.importorskip("timm", reason="timm does not import here")
  config, _, names, timm_name = CASES[name]
  reference = timm.create_model(timm_name, pretrained=False, num_classes=20)
  torch_reference.randomize(reference)
  variables = torch_reference.convert_in_order(reference, names())
  assert_logits_equal(config, reference, variables, 64)
