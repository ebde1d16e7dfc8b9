"""What a run reads and the form in which its network sees it, as data."""

import abc
import dataclasses
from typing import ClassVar, Literal

from neural_epitome import codec


@dataclasses.dataclass(frozen=True)
class Data(codec.Variant, abc.ABC):
  """What every kind of data has; the arms are `DataOptions` and `SignalOptions`.

  An arm adds the form of the network's input and `augmentation`, random changes of
  training examples, of which `mixup` is one wherever it comes from.

  Attributes:
    dataset: the name of a prepared TFDS data set, or its folder; an arm may know
      others.
    data_dir: directory of prepared TFDS data sets; None is TFDS's own default.
    train_split: TFDS split to train on, slices and sums included (`train[:90%]`,
      `fold_1+fold_2`).
    evaluation_split: TFDS split to evaluate on.
    classes: number of classes, so that a plan can be made where the data is not;
      training asks the data.
    batch_size: examples a training step, over all devices and processes.
    evaluation_batch_size: examples an evaluation step, over all of them.
    workers: reading processes; 0 reads in threads of this process.
    threads: reading threads of each process.
    cache_megabytes: a training set whose decoded examples take no more than this is
      kept in memory decoded, by each process; 0 keeps none.
    maximum_bad_examples: of a split; so many images that cannot be decoded are named
      on stderr, left out and counted, one more ends the run.
  """

  dataset: str = "embedded"
  data_dir: str | None = None
  train_split: str = "train"
  evaluation_split: str = "test"
  classes: int | None = None
  batch_size: int = 64
  evaluation_batch_size: int = 500
  workers: int = 0
  threads: int = 4
  cache_megabytes: int = 256
  maximum_bad_examples: int = 10

  @property
  @abc.abstractmethod
  def input_shape(self) -> tuple[int, ...]:
    """Shape of one input of the network, (*space, channels)."""

  @property
  @abc.abstractmethod
  def augmentation(self) -> "Augmentation | SignalAugmentation":
    """Random changes of training examples."""


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
class DataOptions(Data):
  """Images.

  Attributes:
    dataset: `embedded` (the Fashion-MNIST subset inside the package), the name
      of a prepared TFDS data set, or a folder that holds one folder a class.
    image_size: height and width of the network's input, pixels.
    crop_fraction: evaluation resizes the short side to image_size /
      crop_fraction and cuts the centre; 1.0 cuts nothing.
    channels: 1 grey, 3 RGB.
    mean: channel means of images in [0, 1], one value or one a channel.
    std: channel standard deviations, likewise.
    augmentation: random changes of training images.
  """

  kind: ClassVar[str] = "image"

  image_size: int = 28
  crop_fraction: float = 1.0
  channels: Literal[1, 3] = 1
  mean: tuple[float, ...] = (0.2860,)
  std: tuple[float, ...] = (0.3530,)
  augmentation: Augmentation = Augmentation(flip=True)

  @property
  def input_shape(self) -> tuple[int, int, int]:
    """(height, width, channels)."""
    return (self.image_size, self.image_size, self.channels)


@dataclasses.dataclass(frozen=True)
class SignalAugmentation:
  """Random changes of a training signal; a field's default leaves it out.

  Attributes:
    random_crop: cut what is longer than the network's input at a random place, and
      put what is shorter at one; without it both lie as in evaluation.
    shift: largest further move in time to either side, a share of the input's
      length; what it uncovers is zero.
    speed: largest relative change of speed (and pitch): by a factor between
      1 / (1 + speed) and 1 + speed, uniform in its logarithm.
    flip: change the sign with probability one half: the polarity of a recording is
      arbitrary.
    gain: largest change of level to either side after normalisation, decibels.
    noise: largest level of added white noise over that of the signal (both root
      mean square); the level is uniform between it and 0.
    mixup: see `Augmentation`.
  """

  random_crop: bool = False
  shift: float = 0.0
  speed: float = 0.0
  flip: bool = False
  gain: float = 0.0
  noise: float = 0.0
  mixup: float = 0.0


@dataclasses.dataclass(frozen=True)
class SignalOptions(Data):
  """Signals in time: sound, currents.

  Attributes:
    length: of the network's input, samples.
    channels: of the network's input.
    sample_rate: of the network's input, Hz, so that a sound file can be brought to
      it; None where the data set's examples are no sound.
    anchor: the part of a longer signal that evaluation cuts, and the end of the
      input at which a shorter one lies among zeros: the `start` (sounds that begin
      with their onset) or the `centre`.
    normalisation: divides what was cut by its `peak` (largest magnitude) or `rms`
      (root mean square, zeros around it not counted), or, `none`, by nothing.
      16-bit samples are fractions of full scale before that.
    augmentation: random changes of training signals.
  """

  kind: ClassVar[str] = "signal"

  dataset: str = "drums"
  length: int = 16000
  channels: int = 1
  sample_rate: int | None = None
  anchor: Literal["start", "centre"] = "centre"
  normalisation: Literal["peak", "rms", "none"] = "peak"
  augmentation: SignalAugmentation = SignalAugmentation()

  @property
  def input_shape(self) -> tuple[int, int]:
    """(length, channels)."""
    return (self.length, self.channels)
