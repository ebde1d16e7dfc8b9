"""Options of the data set, of its augmentation and of the network's input."""

import abc
import dataclasses
from typing import Annotated, ClassVar, Literal

from neural_epitome import codec
from neural_epitome.domains import Amount, Count, Domain, Finite, Positive, Share, Whole


@dataclasses.dataclass(frozen=True)
class Data(codec.Variant, abc.ABC):
  """Fields of every kind of data; the kinds are `DataOptions` and `SignalOptions`.

  A kind adds the form of the network's input and `augmentation`, random changes of
  training examples, which always includes `mixup`.

  Attributes:
    dataset: the name of a prepared TFDS data set, or its folder; a kind may take
      others.
    data_dir: directory of prepared TFDS data sets; None is TFDS's own default.
    train_split: TFDS split to train on, slices and sums included (`train[:90%]`,
      `fold_1+fold_2`).
    evaluation_split: TFDS split to evaluate on.
    classes: number of classes, for making a plan without the data; training takes the
      number from the data.
    batch_size: examples of a training step, over all devices and processes.
    evaluation_batch_size: examples of an evaluation step, over all devices and
      processes.
    workers: reading processes; 0 reads in threads of this process.
    threads: reading threads of each process.
    cache_megabytes: MiB in which each process may keep decoded training examples;
      images are kept only if all of them fit. 0 keeps none.
    maximum_bad_examples: how many images of a split may fail to decode; each is named
      on stderr, left out and counted, and one more ends the run.
    accept_changes: whether a run resumes although its data have changed since it
      began; the classes must be the same.
  """

  dataset: str = "embedded"
  data_dir: str | None = None
  train_split: str = "train"
  evaluation_split: str = "test"
  classes: Count | None = None
  batch_size: Count = 64
  evaluation_batch_size: Count = 500
  workers: Annotated[int, Domain(least=0, most=1024)] = 0
  threads: Annotated[int, Domain(least=0, most=1024)] = 4
  cache_megabytes: Whole = 256
  maximum_bad_examples: Whole = 10
  accept_changes: bool = False

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
    padding: pixels of zero padding on each side before a random crop of the original
      size (the CIFAR recipe); not together with `minimum_area` < 1.
    flip: whether images are mirrored left to right with probability one half.
    color_jitter: strength of random brightness, contrast and saturation: each factor
      is uniform in [1 - color_jitter, 1 + color_jitter], at least 0.
    policy: a named policy applied after crop, flip and jitter.
    policy_operations: number of operations that RandAugment applies to an image.
    policy_magnitude: strength of RandAugment, from 0 to 10.
    mixup: alpha of the beta distribution of the weights by which two images are
      mixed; 0 is off. The training step mixes neighbours in the order of the data.
  """

  minimum_area: Annotated[float, Domain(above=0, most=1)] = 1.0
  padding: Whole = 0
  flip: bool = False
  color_jitter: Amount = 0.0
  policy: Literal["none", "randaugment", "autoaugment"] = "none"
  policy_operations: Whole = 2
  policy_magnitude: Annotated[float, Domain(least=0, most=10)] = 9.0
  mixup: Amount = 0.0


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

  image_size: Annotated[int, Domain(least=1, most=65535)] = 28
  crop_fraction: Annotated[float, Domain(above=0, most=1)] = 1.0
  channels: Literal[1, 3] = 1
  mean: tuple[Finite, ...] = (0.2860,)
  std: tuple[Positive, ...] = (0.3530,)
  augmentation: Augmentation = Augmentation(flip=True)

  @property
  def input_shape(self) -> tuple[int, int, int]:
    """(height, width, channels)."""
    return (self.image_size, self.image_size, self.channels)


@dataclasses.dataclass(frozen=True)
class SignalAugmentation:
  """Random changes of a training signal; a field's default leaves it out.

  Attributes:
    random_crop: whether a signal longer than the network's input is cut at a random
      place, and a shorter one put at a random place among zeros; otherwise both lie as
      in evaluation.
    shift: largest additional shift in time to either side, a share of the input's
      length; uncovered samples are zero.
    speed: largest relative change of speed (and pitch): by a factor between
      1 / (1 + speed) and 1 + speed, uniform in its logarithm.
    flip: whether the sign is changed with probability one half: the polarity of a
      recording is arbitrary.
    gain: largest change of level to either side after normalisation, decibels.
    noise: largest level of added white noise over that of the signal (both root
      mean square); the level is uniform between it and 0.
    mixup: see `Augmentation`.
  """

  random_crop: bool = False
  shift: Share = 0.0
  speed: Amount = 0.0
  flip: bool = False
  gain: Amount = 0.0
  noise: Amount = 0.0
  mixup: Amount = 0.0


@dataclasses.dataclass(frozen=True)
class SignalOptions(Data):
  """Signals in time, such as sound or electric currents.

  Attributes:
    length: of the network's input, samples.
    channels: of the network's input.
    sample_rate: of the network's input, Hz, to which sound files are resampled; None
      if the data are not sound.
    anchor: the part of a longer signal that evaluation cuts, and the end of the
      input at which a shorter one lies among zeros: the `start` (sounds that begin
      with their onset) or the `centre`.
    normalisation: what the cut signal is divided by: its `peak` (largest magnitude),
      its `rms` (root mean square of the samples that are not zero) or `none`.
      16-bit samples are fractions of full scale before that.
    augmentation: random changes of training signals.
  """

  kind: ClassVar[str] = "signal"

  dataset: str = "drums"
  length: Count = 16000
  channels: Count = 1
  sample_rate: Count | None = None
  anchor: Literal["start", "centre"] = "centre"
  normalisation: Literal["peak", "rms", "none"] = "peak"
  augmentation: SignalAugmentation = SignalAugmentation()

  @property
  def input_shape(self) -> tuple[int, int]:
    """(length, channels)."""
    return (self.length, self.channels)
