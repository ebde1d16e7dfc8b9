"""Plain torch modules with torchvision's state-dict names.

They are written from the published architectures and share nothing with
`neural_epitome.models`; torch is imported with this module.
"""

import torch
from torch import nn
from torch.nn import functional


def _conv_norm(inputs, outputs, window, stride=1, groups=1, activation=None):
  conv = nn.Conv2d(
    inputs, outputs, window, stride, window // 2, groups=groups, bias=False
  )
  layers = [conv, nn.BatchNorm2d(outputs)]
  return nn.Sequential(*layers, *([activation()] if activation else []))


class _InvertedResidual(nn.Module):
  def __init__(self, inputs, outputs, stride, expansion):
    super().__init__()
    hidden = inputs * expansion
    layers = [_conv_norm(inputs, hidden, 1, 1, 1, nn.ReLU6)] if expansion > 1 else []
    layers.append(_conv_norm(hidden, hidden, 3, stride, hidden, nn.ReLU6))
    layers += [nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
    self.conv = nn.Sequential(*layers)
    self.shortcut = stride == 1 and inputs == outputs

  def forward(self, x):
    return x + self.conv(x) if self.shortcut else self.conv(x)


class MobileNetV2(nn.Module):
  """torchvision.models.mobilenet_v2, width 1.0."""

  def __init__(self, classes=1000):
    super().__init__()
    layers, inputs = [_conv_norm(3, 32, 3, 2, 1, nn.ReLU6)], 32
    for expansion, outputs, repeats, stride in (
      (1, 16, 1, 1),
      (6, 24, 2, 2),
      (6, 32, 3, 2),
      (6, 64, 4, 2),
      (6, 96, 3, 1),
      (6, 160, 3, 2),
      (6, 320, 1, 1),
    ):
      for i in range(repeats):
        step = stride if i == 0 else 1
        layers.append(_InvertedResidual(inputs, outputs, step, expansion))
        inputs = outputs
    layers.append(_conv_norm(320, 1280, 1, 1, 1, nn.ReLU6))
    self.features = nn.Sequential(*layers)
    self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))

  def forward(self, x):
    return self.classifier(self.features(x).mean((2, 3)))


class _SqueezeExcite(nn.Module):
  def __init__(self, channels, squeezed):
    super().__init__()
    self.fc1 = nn.Conv2d(channels, squeezed, 1)
    self.fc2 = nn.Conv2d(squeezed, channels, 1)

  def forward(self, x):
    gate = functional.silu(self.fc1(x.mean((2, 3), keepdim=True)))
    return x * torch.sigmoid(self.fc2(gate))


class _MBConv(nn.Module):
  def __init__(self, inputs, outputs, window, stride, expansion):
    super().__init__()
    hidden = inputs * expansion
    layers = [_conv_norm(inputs, hidden, 1, 1, 1, nn.SiLU)] if expansion > 1 else []
    layers.append(_conv_norm(hidden, hidden, window, stride, hidden, nn.SiLU))
    layers.append(_SqueezeExcite(hidden, inputs // 4))
    layers.append(_conv_norm(hidden, outputs, 1))
    self.block = nn.Sequential(*layers)
    self.shortcut = stride == 1 and inputs == outputs

  def forward(self, x):
    return x + self.block(x) if self.shortcut else self.block(x)


class EfficientNetB0(nn.Module):
  """torchvision.models.efficientnet_b0 without stochastic depth (evaluation)."""

  def __init__(self, classes=1000):
    super().__init__()
    layers, inputs = [_conv_norm(3, 32, 3, 2, 1, nn.SiLU)], 32
    for expansion, window, stride, outputs, repeats in (
      (1, 3, 1, 16, 1),
      (6, 3, 2, 24, 2),
      (6, 5, 2, 40, 2),
      (6, 3, 2, 80, 3),
      (6, 5, 1, 112, 3),
      (6, 5, 2, 192, 4),
      (6, 3, 1, 320, 1),
    ):
      stage = []
      for i in range(repeats):
        step = stride if i == 0 else 1
        stage.append(_MBConv(inputs, outputs, window, step, expansion))
        inputs = outputs
      layers.append(nn.Sequential(*stage))
    layers.append(_conv_norm(320, 1280, 1, 1, 1, nn.SiLU))
    self.features = nn.Sequential(*layers)
    self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))

  def forward(self, x):
    return self.classifier(self.features(x).mean((2, 3)))


class _Basic(nn.Module):
  def __init__(self, inputs, outputs, stride):
    super().__init__()
    self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    self.bn1 = nn.BatchNorm2d(outputs)
    self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
    self.bn2 = nn.BatchNorm2d(outputs)
    changes = stride != 1 or inputs != outputs
    self.downsample = _conv_norm(inputs, outputs, 1, stride) if changes else None

  def forward(self, x):
    y = functional.relu(self.bn1(self.conv1(x)))
    y = self.bn2(self.conv2(y))
    return functional.relu(y + (self.downsample(x) if self.downsample else x))


class _Bottleneck(nn.Module):
  def __init__(self, inputs, inner, stride):
    super().__init__()
    outputs = inner * 4
    self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
    self.bn1 = nn.BatchNorm2d(inner)
    self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
    self.bn2 = nn.BatchNorm2d(inner)
    self.conv3 = nn.Conv2d(inner, outputs, 1, bias=False)
    self.bn3 = nn.BatchNorm2d(outputs)
    changes = stride != 1 or inputs != outputs
    self.downsample = _conv_norm(inputs, outputs, 1, stride) if changes else None

  def forward(self, x):
    y = functional.relu(self.bn1(self.conv1(x)))
    y = functional.relu(self.bn2(self.conv2(y)))
    y = self.bn3(self.conv3(y))
    return functional.relu(y + (self.downsample(x) if self.downsample else x))


class _ResNet(nn.Module):
  def __init__(self, block, expansion, repeats, classes):
    super().__init__()
    self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
    self.bn1 = nn.BatchNorm2d(64)
    inputs = 64
    for stage, (inner, count) in enumerate(
      zip((64, 128, 256, 512), repeats, strict=True)
    ):
      blocks = []
      for i in range(count):
        blocks.append(block(inputs, inner, 2 if stage and not i else 1))
        inputs = inner * expansion
      setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
    self.fc = nn.Linear(inputs, classes)

  def forward(self, x):
    x = functional.relu(self.bn1(self.conv1(x)))
    x = functional.max_pool2d(x, 3, 2, 1)
    x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
    return self.fc(x.mean((2, 3)))


class ResNet18(_ResNet):
  """torchvision.models.resnet18."""

  def __init__(self, classes=1000):
    super().__init__(_Basic, 1, (2, 2, 2, 2), classes)


class ResNet50(_ResNet):
  """torchvision.models.resnet50."""

  def __init__(self, classes=1000):
    super().__init__(_Bottleneck, 4, (3, 4, 6, 3), classes)


def randomize(module: nn.Module, seed: int = 0) -> nn.Module:
  """Random weights and batch-norm statistics, in evaluation mode."""
  generator = torch.Generator().manual_seed(seed)

  def uniform(tensor, low, high):
    tensor.data.uniform_(low, high, generator=generator)

  for layer in module.modules():
    if isinstance(layer, nn.BatchNorm2d):
      uniform(layer.weight, 0.7, 1.3)
      uniform(layer.bias, -0.3, 0.3)
      uniform(layer.running_mean, -0.3, 0.3)
      uniform(layer.running_var, 0.5, 1.5)
    elif isinstance(layer, nn.Conv2d | nn.Linear):
      bound = (3 / layer.weight[0].numel()) ** 0.5 * 1.4
      uniform(layer.weight, -bound, bound)
      if layer.bias is not None:
        uniform(layer.bias, -0.3, 0.3)
  return module.eval()
