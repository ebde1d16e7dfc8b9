"""Logits against torch modules, by way of the files that torch saves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import neural_epitome as ne
from neural_epitome import models
from neural_epitome.data.options import DataOptions

torch = pytest.importorskip(
  "torch", reason="parity with torch needs: pip install 'neural-epitome[parity]'"
)

from safetensors.torch import save_file  # noqa: E402 (imports torch)

from tests.models import torch_reference  # noqa: E402 (imports torch)

pytestmark = pytest.mark.slow

# Our network, a plain torch module with torchvision's names, timm's name.
CASES = {
  "mobilenet_v2": (
    models.MobileNetV2Config(),
    torch_reference.MobileNetV2,
    "mobilenetv2_100",
  ),
  "efficientnet_b0": (
    models.EfficientNetConfig(),
    torch_reference.EfficientNetB0,
    "efficientnet_b0",
  ),
  "resnet18": (models.ResNetConfig(depth=18), torch_reference.ResNet18, "resnet18"),
  "resnet50": (models.ResNetConfig(depth=50), torch_reference.ResNet50, "resnet50"),
}
COLOUR = DataOptions(image_size=64, channels=3)


def assert_logits_equal(config, reference, file, sizes):
  trained = ne.load_pretrained(file, ne.Config(model=config, data=COLOUR))
  run = jax.jit(trained.model.apply)
  for size in sizes:
    pixels = np.random.default_rng(0).standard_normal((2, size, size, 3))
    pixels = pixels.astype(np.float32)
    with torch.no_grad():
      expected = reference(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()))
    expected = expected.numpy()
    actual = run(trained.variables, jnp.asarray(pixels))
    scale = np.abs(expected).max()
    assert scale > 0.1
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4 * scale)


@pytest.mark.parametrize("name", sorted(CASES))
def test_logits_equal_a_plain_torch_module(name, tmp_path):
  config, build, _ = CASES[name]
  reference = torch_reference.randomize(build(classes=20))
  torch.save({"epoch": 3, "state_dict": reference.state_dict()}, tmp_path / "it.pth")
  assert_logits_equal(config, reference, tmp_path / "it.pth", [64, 75])


@pytest.mark.parametrize("name", sorted(CASES))
def test_logits_equal_timm(name, tmp_path):
  timm = pytest.importorskip("timm", reason="timm does not import here")
  config, _, timm_name = CASES[name]
  reference = timm.create_model(timm_name, pretrained=False, num_classes=20)
  torch_reference.randomize(reference)
  save_file(reference.state_dict(), tmp_path / "it.safetensors")
  assert_logits_equal(config, reference, tmp_path / "it.safetensors", [64])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_all_formats_hold_the_same_weights_in_every_float_type(dtype, tmp_path):
  reference = torch_reference.randomize(torch_reference.ResNet18(classes=5)).to(dtype)
  state = reference.state_dict()
  state["conv1.weight"] = state["conv1.weight"].to(memory_format=torch.channels_last)
  torch.save(state, tmp_path / "it.pt")
  torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
  contiguous = {name: tensor.contiguous() for name, tensor in state.items()}
  save_file(contiguous, tmp_path / "it.safetensors")
  config = ne.Config(model=models.ResNetConfig(depth=18), data=COLOUR)
  one, *others = (
    ne.load_pretrained(tmp_path / name, config)
    for name in ("it.pt", "old.pt", "it.safetensors")
  )
  for other in others:
    jax.tree.map(np.testing.assert_array_equal, one.variables, other.variables)
  kernel = one.variables["params"]["stem"]["kernel"]
  expected = state["conv1.weight"].float().numpy().transpose(2, 3, 1, 0)
  np.testing.assert_array_equal(kernel, expected)
