r"""Searches and what they are made of, against their controls.

  python -m benchmarks.search --minutes=60 --seeds=3
  python -m benchmarks.search --dataset=fashion_mnist --data_dir=DIR --seconds=600
  python -m benchmarks.search --dataset=cluttered_fashion_mnist --data_dir=DIR \
    --seconds=600 --epochs=3 --parts=latency,bytes

A row an answer in results/search.csv, written as it is known; what is there is skipped,
so it is completed over as many calls as it takes.

samplers    supernets trained by ordered dropout, single paths and sandwiches for the
            same wall clock: mean and worst top-1 of 30 fixed networks with their
            weights, and Kendall's tau against ten of them trained alone.
descents    on the supernet of ordered dropout, to half the multiply-adds: coordinate
            descent over several blocks, over single ones, and over several where no
            block may be left out; evolution, and random search with as many questions.
found       what the descent and random search found, trained from the supernet's
            weights and anew, against a narrower network of as many multiply-adds;
            that one also trained for as long as supernet, search and final took.
rounds      see `search_rounds`: a search that trains parts of the space anew.
latency     see `search_latency`: the same at the same measured latency.
bytes       see `search_bytes`: the same at equal bytes, epitome rates in the space.
apart       see `search_apart`: a search that trains every choice by itself, for 5.8
            times as long.

What trains for as long as all stages took comes last, after all seeds of the rest.
Choices are compared on held-out training images, those that are trained alone too; what
is trained in the end is read on the test split (`top1` of final ones, and of baselines
but `alone_N`), and never before.
"""

import argparse
import dataclasses
import os
import statistics
import time
from pathlib import Path

from scipy import stats

import neural_epitome as ne
from benchmarks import common
from benchmarks.search import (
  apart as search_apart,
)
from benchmarks.search import (
  bytes as search_bytes,
)
from benchmarks.search import (
  latency as search_latency,
)
from benchmarks.search import (
  rounds as search_rounds,
)
from benchmarks.search.lab import QUICK, Lab, Size, narrowed_to, percent
from benchmarks.search.rows import Row, Table
from neural_epitome.config import Config
from neural_epitome.errors import UserError
from neural_epitome.runs.malloc import keep_freed_memory
from neural_epitome.spaces.chain_space import ChainSpace
from neural_epitome.spaces.cost_model import Prices
from neural_epitome.strategies import (
  Evolution,
  NetAdapt,
  Problem,
  RandomSearch,
  Strategy,
)

EXPERIMENT = "netadaptv2_mobile"
SAMPLERS = ("ordered_dropout", "single_path", "sandwich")
PARTS = ("samplers", "descents", "found", "rounds", "latency", "bytes", "apart")
BUDGET = 0.5


class Samplers:
  """Supernets of the same wall clock, and networks trained alone."""

  def __init__(self, lab: Lab):
    self._lab = lab
    self._fixed = lab.space.sample(1234, count=lab.size.networks)

  def run(self, seed: int) -> None:
    """All rows of a seed."""
    for sampler in SAMPLERS:
      self._lab.once(sampler, seed, "supernet", self._supernet)
    if seed == 0:
      for number in range(self._lab.size.alone):
        self._lab.once(f"alone_{number}", seed, "baseline", self._alone)
    for sampler in SAMPLERS:
      self._lab.once(f"{sampler}_ranked", seed, "supernet", self._ranked)

  def first(self, seed: int) -> None:
    """The supernet that the other parts stand on."""
    self._lab.once(SAMPLERS[0], seed, "supernet", self._supernet)

  def _supernet(self, sampler: str, seed: int) -> Row:
    seconds = self._lab.train_supernet(sampler, seed)
    top1 = self._of_fixed(sampler, seed)
    return {
      "seconds": seconds,
      "evaluations": len(top1),
      "top1": percent(statistics.mean(top1)),
      "worst_top1": percent(min(top1)),
    }

  def _of_fixed(self, sampler: str, seed: int) -> list[float]:
    answers = self._lab.answers(sampler, seed)
    return [answers.of(arch)["top1"] for arch in self._fixed]

  def _alone(self, name: str, seed: int) -> Row:
    arch = self._fixed[int(name.rpartition("_")[2])]
    config = self._lab.plain(self._lab.space.network(arch), seed, tested=False)
    return self._lab.train(name, seed, config)

  def _ranked(self, name: str, seed: int) -> Row:
    """Whether a supernet ranks networks as training them alone does."""
    sampler, table = name.removesuffix("_ranked"), self._lab.table
    numbers = range(self._lab.size.alone)
    alone = [table.find(f"alone_{number}", 0, "baseline") for number in numbers]
    if None in alone or not table.find(sampler, seed, "supernet"):
      return {}
    shared = self._of_fixed(sampler, seed)[: len(alone)]
    expected = [float(row["top1"]) for row in alone]
    tau = stats.kendalltau(shared, expected).statistic
    return {"evaluations": len(alone), "kendall_tau": round(float(tau), 3)}


class Descents:
  """Strategies on one supernet, and what they found."""

  def __init__(self, lab: Lab):
    self._lab = lab
    self._prices = Prices(lab.space, lab.classes, lab.config.data.channels)

  def run(self, seed: int) -> None:
    """All searches of a seed."""
    for name in self._strategies():
      self._lab.once(name, seed, "search", self._search)

  def run_found(self, seed: int) -> None:
    """What they found, trained, and the narrower network."""
    for name in self._strategies():
      self._lab.once(f"{name}_from_supernet", seed, "final", self._final)
    self._lab.once("netadaptv2_from_scratch", seed, "final", self._final)
    self._lab.once("width", seed, "baseline", self._width)

  def run_longer(self, seed: int) -> None:
    """The narrower network, trained as long as all stages took."""
    self._lab.once("width_longer", seed, "baseline", self._width)

  def _strategies(self) -> dict[str, tuple[Strategy, ChainSpace]]:
    space, count = self._lab.space, self._lab.size.evaluations
    fixed = dataclasses.replace(space, bypass=False)
    generations = max(2, count // 12)
    return {
      "netadaptv2": (NetAdapt(layers=2, samples=12), space),
      # Smaller steps: about as many questions as the descent over two blocks.
      "netadapt_single": (NetAdapt(layers=1, reduction=0.031), space),
      "netadaptv2_without_bypass": (NetAdapt(layers=2, samples=12), fixed),
      "evolution": (Evolution(generations, max(2, count // generations), 6), space),
      "random": (RandomSearch(count), space),
    }

  def _budget(self) -> float:
    return BUDGET * self._prices.of(self._lab.space.largest)["madds"]

  def _search(self, name: str, seed: int) -> Row:
    strategy, space = self._strategies()[name]
    table, sampler = self._lab.table, SAMPLERS[0]
    if not table.find(sampler, seed, "supernet"):
      return {}
    if name == "random":
      # With as many questions as the descent that it is a control of.
      row = table.find("netadaptv2", seed, "search")
      strategy = RandomSearch(int(row["evaluations"])) if row else strategy
    of = Problem(space, lambda a: self._prices.of(a)["madds"], self._budget(), seed)
    if not of.fits(space.smallest):
      print(f"{name}: with every block the smallest network costs more than that")
      return {}
    return self._lab.search(name, sampler, seed, strategy, of)

  def _final(self, name: str, seed: int) -> Row:
    search, _, origin = name.rpartition("_from_")
    return self._lab.final(search, SAMPLERS[0], seed, origin)

  def _width(self, name: str, seed: int) -> Row:
    """The largest network with all its channels scaled alike, to the same price."""
    lab = self._lab
    channels = lab.config.data.channels
    space = narrowed_to(lab.space, lab.classes, channels, "madds", self._budget())
    config = lab.plain(space.network(space.largest), seed, tested=True)
    if name == "width_longer":
      # Supernet, search and final training are spent on it.
      final = "netadaptv2_from_supernet"
      stages = {"supernet": SAMPLERS[0], "search": "netadaptv2", "final": final}
      spent = lab.seconds(seed, **stages)
      each = lab.seconds(seed, baseline="width")
      if spent is None or each is None:
        return {}
      config = lab.longer(config, spent, each)
    return lab.train(name, seed, config)


def configure(dataset: str, data_dir: str | None, quick: bool = False) -> Config:
  """The experiment on a data set of 28 x 28 images, or their cluttered edition.

  Pictures of 56 x 56 are halved once more by the first block: those after it cost the
  same.
  """
  config = ne.load_experiment(EXPERIMENT)
  if quick:
    space = dataclasses.replace(config.model.space, most_widths=2, windows=(3,))
    config = dataclasses.replace(
      config, model=dataclasses.replace(config.model, space=space)
    )
  if dataset == config.data.dataset:
    return config
  space, side = config.model.space, 28
  if dataset.startswith("cluttered_"):
    side = 56
    strides = (2, *space.stage_strides[1:])
    space = dataclasses.replace(space, image_size=side, stage_strides=strides)
  model = dataclasses.replace(config.model, space=space)
  data = dataclasses.replace(
    config.data,
    dataset=dataset,
    data_dir=data_dir,
    image_size=side,
    train_split="train[:90%]",
    evaluation_split="train[90%:]",
  )
  search = dataclasses.replace(config.search, examples=2000)
  return dataclasses.replace(config, model=model, data=data, search=search)


def main() -> None:
  """Runs what is missing."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument(
    "--minutes", type=float, default=60.0, help="nothing begins later"
  )
  parser.add_argument("--parts", help="names, commas between; all by default")
  parser.add_argument("--dataset", default="embedded")
  parser.add_argument("--data_dir", help="directory of prepared data sets")
  parser.add_argument("--seconds", type=float, help="of a supernet; 150")
  parser.add_argument("--epochs", type=float, help="of one network; 6")
  shares = {"type": float, "nargs": "+", "default": search_latency.SHARES}
  parser.add_argument("--shares", help="of the largest latency", **shares)
  parser.add_argument("--quick", action="store_true", help="see that it runs")
  parser.add_argument("--workdir", type=Path, default=Path("runs/search_benchmark"))
  parser.add_argument("--output", default="", help="the CSV")
  options = parser.parse_args()
  parts = options.parts.split(",") if options.parts else PARTS
  for part in parts:
    if part not in PARTS:
      raise UserError(f"--parts={part} is none of {', '.join(PARTS)}.")
  keep_freed_memory()
  os.environ["JAX_PLATFORMS"] = os.environ.get("JAX_PLATFORMS", "cpu")
  config = configure(options.dataset, options.data_dir, options.quick)
  name = "search_quick" if options.quick else "search"
  path = Path(options.output) if options.output else common.RESULTS / f"{name}.csv"
  command = "python -m benchmarks.search" + (" --quick" if options.quick else "")
  if options.dataset != "embedded":
    command += f" --dataset={options.dataset}"
  size = QUICK if options.quick else Size()
  for option in ("seconds", "epochs"):
    if value := getattr(options, option):
      size = dataclasses.replace(size, **{option: value})
      command += f" --{option}={value:g}"
  root = options.workdir.absolute()
  if command != "python -m benchmarks.search":
    root /= f"{options.dataset}_{size.seconds:g}_s_{size.epochs:g}_epochs"
  deadline = time.monotonic() + 60 * options.minutes
  table = Table(path, EXPERIMENT, options.dataset, command)
  lab = Lab(config, size, root, table, deadline)
  samplers, descents = Samplers(lab), Descents(lab)
  latency = search_latency.AtLatency(lab, SAMPLERS[0], options.shares)
  at_bytes = search_bytes.AtBytes(
    Lab(search_bytes.with_rates(config), size, root / "rates", table, deadline),
    SAMPLERS[0],
  )
  apart = search_apart.Apart(lab, BUDGET, SAMPLERS[0])
  runs = {
    "samplers": samplers.run,
    "descents": descents.run,
    "found": descents.run_found,
    "rounds": search_rounds.InRounds(lab, BUDGET, SAMPLERS[0]).run,
    "latency": latency.run,
    "bytes": at_bytes.run,
    "apart": apart.run,
  }
  longer = {
    "found": descents.run_longer,
    "latency": latency.run_longer,
    "bytes": at_bytes.run_longer,
  }
  for seed in range(options.seeds):
    samplers.first(seed)
    for part in parts:
      runs[part](seed)
  for seed in range(options.seeds):
    for part in parts:
      if part in longer:
        longer[part](seed)
