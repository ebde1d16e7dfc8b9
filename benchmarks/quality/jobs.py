"""What is to be run, in order of worth: one row of the results a job."""

import dataclasses
from collections.abc import Iterator

from benchmarks.quality.images import TEST, TRAIN
from benchmarks.quality.networks import NETWORKS

SEEDS = (0, 1, 2)
# Bytes of the dense network in float32 over those that an arm may store.
SIZES = (25, 16, 40, 8)
# Arms that store what their bits say, and arms that are given a size.
ROUNDED = ("int8", "int4", "int3", "int2")
SIZED = ("narrower", "low_rank", "random", "tile")
# The arm that looks at images without labels.
SEEING = ("best_examples",)
# Arms that code the teacher's kernels in a size, with no image: those that come near,
# and those that do not.
CODED = ("best", "nnc", "nnc_small_finer", "product_quantisation_weighted")
CODED_BADLY = (
  "product_quantisation",
  "uniform_scalars",
  "palette",
  "singular_vectors",
)
# Those of them that have numbers to train, for a few epochs from where they start.
REFINED = ("best", "best_moving", "product_quantisation_weighted", "low_rank")
# The rate is the better one of `refined_rates` for both arms that were looked at.
REFINED_EPOCHS, REFINED_RATE = 4, 1.0
# A palette of two levels takes a bit a weight.
_PALETTE_SIZES = (8, 16, 25)


@dataclasses.dataclass(frozen=True)
class Job:
  """One training, or none, and its test.

  Attributes:
    network: of `networks.NETWORKS`.
    arm: of `arms.ARMS`, or `dense`, the teacher.
    seed: of the job, and of the teacher that it starts from and learns from.
    epochs: of training.
    size: float32 bytes of the dense network over the bytes that are stored at most;
      1 where the arm alone says what it stores.
    factor: of the network's learning rate.
    tested: the sheet that it is tested on. What is chosen is chosen on a training sheet
      that the network is not trained on.
  """

  network: str
  arm: str
  seed: int
  epochs: int
  size: int = 1
  factor: float = 1.0
  tested: str = TEST

  @property
  def name(self) -> str:
    """What a row, and what is kept of a run, is known by."""
    name = f"{self.network}-{self.arm}-x{self.size}-e{self.epochs}-s{self.seed}"
    rate = "" if self.factor == 1 else f"-lr{self.factor:g}"
    return name + rate + ("" if self.tested == TEST else f"-on-{self.tested}")

  @property
  def is_dense(self) -> bool:
    """Whether it is the dense network, from scratch and on labels alone."""
    return self.arm == "dense"

  @property
  def is_teacher(self) -> bool:
    """Whether other jobs start from it and learn from it."""
    return self == self.teacher

  @property
  def teacher(self) -> "Job":
    """The dense network of the same seed."""
    return Job(self.network, "dense", self.seed, NETWORKS[self.network].epochs)


def teachers(network: str, seeds: tuple[int, ...] = SEEDS) -> Iterator[Job]:
  """The dense network, seed by seed."""
  for seed in seeds:
    yield Job(network, "dense", seed, NETWORKS[network].epochs)


def rates(network: str) -> Iterator[Job]:
  """A short look at the learning rate, on images that nothing is trained on."""
  for factor in (0.25, 1.0, 4.0):
    yield Job(network, "dense", 0, 4, factor=factor, tested=TRAIN[-1])


def rounded(network: str, seeds: tuple[int, ...] = SEEDS) -> Iterator[Job]:
  """The dense network in few bits, as it is: seconds each."""
  for seed in seeds:
    for arm in ROUNDED:
      yield Job(network, arm, seed, 0)


def trained(
  network: str, arms: tuple[str, ...], sizes: tuple[int, ...], seeds: tuple[int, ...]
) -> Iterator[Job]:
  """Arms that learn from the teacher for as many epochs as it took to train it."""
  for seed in seeds:
    for size in sizes:
      for arm in arms:
        yield Job(network, arm, seed, NETWORKS[network].epochs, size)


def coded(
  network: str, arms: tuple[str, ...] = CODED, seeds: tuple[int, ...] = SEEDS
) -> Iterator[Job]:
  """The teacher's kernels in other codes, as they are: a minute each."""
  for size in SIZES:
    for seed in seeds:
      for arm in arms:
        if arm != "palette" or size in _PALETTE_SIZES:
          yield Job(network, arm, seed, 0, size)


def refined(
  network: str, sizes: tuple[int, ...], seeds: tuple[int, ...] = SEEDS
) -> Iterator[Job]:
  """Arms that start from the teacher's kernels and learn from it for a few epochs."""
  for seed in seeds:
    for size in sizes:
      for arm in REFINED:
        yield Job(network, arm, seed, REFINED_EPOCHS, size, REFINED_RATE)


def refined_rates(
  network: str, arms: tuple[str, ...], size: int, factors: tuple[float, ...]
) -> Iterator[Job]:
  """A look at the learning rate of `refined`, on images nothing is trained on."""
  for arm in arms:
    for factor in factors:
      yield Job(network, arm, 0, REFINED_EPOCHS, size, factor=factor, tested=TRAIN[-1])


def all_jobs() -> tuple[Job, ...]:
  """Every job, the most worth first."""
  return (
    *teachers("plain", SEEDS[:1]),
    *rates("plain"),
    *teachers("plain", SEEDS[1:]),
    *rounded("plain"),
    *coded("plain"),
    *coded("plain", SEEING),
    *refined_rates("plain", REFINED[:3], SIZES[0], (0.25, 1.0)),
    *refined("plain", (40, 25)),
    *coded("plain", CODED_BADLY),
    *refined("plain", (16, 8)),
    *teachers("resnet20"),
    *rounded("resnet20"),
    *coded("resnet20"),
    *trained("plain", SIZED, SIZES[:2], SEEDS[:1]),
    *trained("plain", ("int4", "int3", "int2"), (1,), SEEDS[:1]),
    *teachers("mobilenet_v2_05"),
    *rounded("mobilenet_v2_05"),
    *coded("mobilenet_v2_05"),
    *trained("plain", SIZED, SIZES[:2], SEEDS[1:]),
    *trained("plain", SIZED, SIZES[2:], SEEDS),
    *trained("plain", ("int4", "int3", "int2"), (1,), SEEDS[1:]),
    *trained("resnet20", ("narrower", "low_rank", "tile"), SIZES, SEEDS),
    # Its batch norms and depthwise kernels alone leave little below that.
    *trained("mobilenet_v2_05", ("narrower", "low_rank", "tile"), (16, 8), SEEDS),
  )
