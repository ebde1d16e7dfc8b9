"""What a run reads and how its images are prepared, as data."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Augmentation:
  """Random changes of a training image; a field's default leaves it out.

  Attributes:
    minimum_area: smallest share of the image's area a RandomResizedCrop keeps;
      1.0 leaves it out: the image is resized and cut as in evaluation.
    padding: pixels of zero padding before a random crop of the original size
      (the CIFAR recipe); excludes `minimum_area` < 1.
    flip: mirror left to right with probability one half.
    color_jitter: strength of random brightness, contrast and saturation.
    policy: a named policy applied after crop, flip and jitter.
    policy_operations: operations of RandAugment applied to one image.
    policy_magnitude: strength of RandAugment, from 0 to 10.
    mixup: alpha of the beta distribution images are mixed by; 0 is off. Mixing
      happens in the training step, between neighbours in the order of the data.
  """

  minimum_area: float = 1.0
  padding: int = 0
  flip: bool = False
  color_jitter: float = 0.0
  policy: Literal["none", "randaugment", "autoaugment"] = "none"
  policy_operations: int = 2
  policy_magnitude: float = 9.0
  mixup: float = 0.0


@dataclasses.dataclass(frozen=True)
class DataOptions:
  """Where images come from and the form in which the network sees them.

  Attributes:
    dataset: `embedded` (the Fashion-MNIST subset inside the package), the name
      of a prepared TFDS data set, or a folder that holds one folder a class.
    data_dir: directory of prepared TFDS data sets; None is TFDS's own default.
    train_split: TFDS split to train on, slices included (`train[:90%]`).
    evaluation_split: TFDS split to evaluate on.
    classes: number of classes, so that a plan can be made where the data is not;
      training asks the data.
    image_size: height and width of the network's input, pixels.
    crop_fraction: evaluation resizes the short side to image_size /
      crop_fraction and cuts the centre; 1.0 cuts nothing.
    channels: 1 grey, 3 RGB.
    mean: channel means of images in [0, 1], one value or one a channel.
    std: channel standard deviations, likewise.
    batch_size: images a training step, over all devices and processes.
    evaluation_batch_size: images an evaluation step, over all of them.
    workers: decoding processes; 0 decodes in threads of this process.
    threads: decoding threads of each process.
    cache_megabytes: a training set whose decoded images take no more than this is
      kept in memory decoded, by each process; 0 keeps none.
    augmentation: random changes of training images.
  """

  dataset: str = "embedded"
  data_dir: str | None = None
  train_split: str = "train"
  evaluation_split: str = "test"
  classes: int | None = None
  image_size: int = 28
  crop_fraction: float = 1.0
  channels: Literal[1, 3] = 1
  mean: tuple[float, ...] = (0.2860,)
  std: tuple[float, ...] = (0.3530,)
  batch_size: int = 64
  evaluation_batch_size: int = 500
  workers: int = 0
  threads: int = 4
  cache_megabytes: int = 256
  augmentation: Augmentation = Augmentation(flip=True)
