"""What the methods are compared on: a dense experiment for every backbone and data set.

`small` is what a laptop finishes; `full` is for an accelerator; `quick` checks the
machinery in a few minutes and says nothing about accuracy.
"""

import dataclasses
from pathlib import Path

from neural_epitome.config import Config, OptimizerOptions, TrainingOptions
from neural_epitome.data.options import Augmentation, Data, DataOptions
from neural_epitome.experiment import load_experiment
from neural_epitome.models import MobileNetV2Config, ModelConfig, ResNetConfig
from neural_epitome.models.mobilenet_v2 import MBCONV
from neural_epitome.planning import DensePlanner


@dataclasses.dataclass(frozen=True)
class Setting:
  """One backbone on one data set.

  Attributes:
    backbone: its name in the table.
    dataset: the data set's name in the table.
    dense: the experiment that every method changes.
    rates: in the order in which they matter.
    brief: those of them at which only the methods are run that the question is about.
    validation: training and evaluation split that methods are chosen on; the test
      split is never among them.
  """

  backbone: str
  dataset: str
  dense: Config
  rates: tuple[float, ...]
  validation: tuple[str, str] = ("train[:85%]", "train[85%:]")
  brief: tuple[float, ...] = ()


# In the middle of the trials.
LEARNING_RATE = 2e-2

IMAGES = DataOptions(
  dataset="embedded", classes=10, augmentation=Augmentation(flip=True)
)


def _images(
  backbone: str,
  model: ModelConfig,
  data: Data,
  rates: tuple[float, ...],
  epochs: float,
) -> Setting:
  config = Config(
    name=backbone,
    model=model,
    data=data,
    optimizer=OptimizerOptions(learning_rate=LEARNING_RATE, weight_decay=0.01),
    training=_training(epochs),
  )
  return Setting(backbone, data.dataset, config, rates, brief=rates[2:])


def _training(epochs: float) -> TrainingOptions:
  # Evaluated once, at the end: nothing may be chosen by looking at the test split.
  return TrainingOptions(
    epochs=epochs, evaluate_every=1e6, tensorboard=False, checkpoint_every=600.0
  )


def _sounds(experiment: str, rates: tuple[float, ...], folds: int = 1) -> list[Setting]:
  beside = Path(__file__).parent / f"{experiment}.py"
  dense = load_experiment(beside if beside.is_file() else experiment)
  backbone = experiment.rpartition("_")[0]
  training = _training(dense.training.epochs)
  # Few steps: every method, the dense network too, learns best far above its own rate.
  optimizer = dataclasses.replace(dense.optimizer, learning_rate=LEARNING_RATE)
  dense = dataclasses.replace(
    dense, training=training, optimizer=optimizer, planner=DensePlanner()
  )
  if "fold_" not in dense.data.train_split:
    # Few examples: what is left of them must tell four trials apart.
    parts = ("train[:70%]", "train[70%:]")
    return [Setting(backbone, dense.data.dataset, dense, rates, parts, rates[1:])]
  names = sorted({*dense.data.train_split.split("+"), dense.data.evaluation_split})
  settings = []
  for index in range(folds):
    test, validation = names[index], names[(index + 1) % len(names)]
    rest = [name for name in names if name not in (test, validation)]
    data = dataclasses.replace(
      dense.data, train_split="+".join([*rest, validation]), evaluation_split=test
    )
    settings.append(
      Setting(
        backbone,
        f"{dense.data.dataset}_{test}",
        dataclasses.replace(dense, data=data),
        rates,
        ("+".join(rest), validation),
        # The other folds ask whether the first one was luck, of fewer methods.
        rates if index else rates[1:],
      )
    )
  return settings


# 16 and 8 first: they decide.
IMAGE_RATES, SOUND_RATES = (16.0, 8.0, 4.0, 2.0), (16.0, 64.0, 4.0)


def settings(suite: str, size: str) -> list[Setting]:
  """The settings of a suite (`2d` or `1d`) at a size."""
  if suite == "2d":
    if size == "quick":
      stages, strides = ((4, 32, 1),), (2,)
      tiny = dataclasses.replace(MBCONV, stages=stages, stage_strides=strides)
      return [_images("mbconv", tiny, IMAGES, (4.0,), 0.05)]
    if size == "small":
      # Twice the published width: a quarter of that still has eight channels.
      resnet = ResNetConfig(depth=8, width=2.0, stem_stride=2)
      return [
        _images("mbconv", MBCONV, IMAGES, IMAGE_RATES, 6.0),
        _images("resnet8", resnet, IMAGES, IMAGE_RATES, 6.0),
      ]
    images = dataclasses.replace(IMAGES, dataset="fashion_mnist")
    # Turned, moved and cluttered, on 56 x 56 pixels (a recipe of `data.prepare`).
    harder = dataclasses.replace(
      images, dataset="cluttered_fashion_mnist", image_size=56
    )
    mbv2 = MobileNetV2Config(stage_strides=(1, 2, 2, 1, 2, 1, 1))
    return [
      _images("mbv2", mbv2, images, IMAGE_RATES, 20.0),
      _images("resnet20", ResNetConfig(depth=20), images, IMAGE_RATES, 20.0),
      _images("mbv2", mbv2, harder, IMAGE_RATES, 20.0),
    ]
  if size == "quick":
    [setting] = _sounds("soundnet_small_plaid", (16.0,))
    training = dataclasses.replace(setting.dense.training, epochs=0.3)
    dense = dataclasses.replace(setting.dense, training=training)
    return [dataclasses.replace(setting, dense=dense)]
  if size == "small":
    return [
      *_sounds("soundnet_small_drums", SOUND_RATES, folds=3),
      *_sounds("soundnet_small_plaid", SOUND_RATES),
    ]
  return _sounds("soundnet_epitome_esc50", SOUND_RATES, folds=5)
