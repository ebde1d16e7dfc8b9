"""Does it matter which channels share, and do learned offsets find out?

  python -m benchmarks.controls.routing_study --minutes=30

Arms of one network (MBConv of the small suite, the wide side of every kernel shared):

- `aligned`: a tile. Replicas of an expansion's output meet replicas of the following
  projection's input in step.
- `rolled_output`, `rolled_input`, `rolled_both`: the same, each replica of that side
  turned by a random number of channels that stays: the steps no longer meet.
- `free`, `learner`: offsets that start in step and are learned, as parameters or by
  the index learner of Neural Epitome Search.
- `free_fast`, `free_faster`, `learner_fast`: the same, where offsets, or the learner,
  have 10 or 100 times the learning rate of the weights.
- `free_early`, `learner_early`: the same fast ones, in the first 30% of the steps only:
  then offsets are rounded and stay, and the weights go on alone.

A row a run in results/routing_study.csv: accuracy on the test split; how far offsets
moved, in cells, as they ship, rounded; and, on the trained network, for a sample of
offsets, how the change of the loss that the gradient promises for a jump of 1, 4 and 16
cells correlates with the change that the jump makes (`promise_*`), and the share of
these jumps that lower it (`better_jumps`).
"""

import argparse
import contextlib
import dataclasses
import math
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common, workers
from benchmarks.controls import suites as control_suites
from benchmarks.controls.methods import FIXED
from benchmarks.controls.rows import append, commit, read
from neural_epitome.config import Config
from neural_epitome.epitome.generators import EpitomeRule
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.errors import UserError
from neural_epitome.planning import RatePlanner


@dataclasses.dataclass(frozen=True)
class Arm:
  """How an arm differs: rule, source of offsets, their learning rate and when they end.

  Attributes:
    rule: of the kernels.
    indices: where offsets come from.
    multiplier: learning rate of offsets over that of the weights.
    frozen: last share of the steps, in which offsets stay; None for the usual one.
  """

  rule: EpitomeRule
  indices: IndexOptions = FIXED
  multiplier: float = 1.0
  frozen: float | None = None


FREE = IndexOptions(source="free", start="zero")
LEARNER = IndexOptions(source="learner", start="zero")
ARMS = {
  "aligned": Arm(EpitomeRule(routing="tile")),
  "rolled_output": Arm(EpitomeRule(sampled=("output",))),
  "rolled_input": Arm(EpitomeRule(sampled=("input",))),
  "rolled_both": Arm(EpitomeRule()),
  "free": Arm(EpitomeRule(), FREE),
  "free_fast": Arm(EpitomeRule(), FREE, multiplier=10.0),
  "free_faster": Arm(EpitomeRule(), FREE, multiplier=100.0),
  "free_early": Arm(EpitomeRule(), FREE, multiplier=100.0, frozen=0.7),
  "learner": Arm(EpitomeRule(), LEARNER),
  "learner_fast": Arm(EpitomeRule(), LEARNER, multiplier=10.0),
  "learner_early": Arm(EpitomeRule(), LEARNER, multiplier=10.0, frozen=0.7),
}
JUMPS = (1, 4, 16)
COLUMNS = (
  "arm",
  "rate",
  "seed",
  "top1",
  "offsets",
  "moved_mean",
  "moved_largest",
  "moved_half_cell",
  *(f"promise_{jump}" for jump in JUMPS),
  "better_jumps",
  "seconds",
  "commit",
  "command",
)
# Offsets that are tried, and images on which.
SAMPLE, IMAGES = 40, 1000


def configuration(arm: str, rate: float, seed: int) -> Config:
  """The run of an arm: plan and indices differ, and how indices are trained."""
  [setting] = [
    s for s in control_suites.settings("2d", "small") if s.backbone == "mbconv"
  ]
  settings, dense = ARMS[arm], setting.dense
  training = dataclasses.replace(dense.training, seed=seed)
  if settings.frozen is not None:
    training = dataclasses.replace(training, frozen_fraction=settings.frozen)
  return dataclasses.replace(
    dense,
    name=arm,
    planner=RatePlanner(rate=rate, rule=settings.rule),
    indices=settings.indices,
    optimizer=dataclasses.replace(
      dense.optimizer, index_multiplier=settings.multiplier
    ),
    training=training,
  )


def execute(arm: str, rate: float, seed: int, workdir: Path) -> dict[str, Any]:
  """Trains one arm and looks at its offsets. Runs in a process of its own."""
  import neural_epitome as ne
  from neural_epitome.runs.malloc import keep_freed_memory

  keep_freed_memory()
  report = ne.run(configuration(arm, rate, seed), workdir, quiet=True)
  columns = {"top1": round(100 * report["top1"], 3), "seconds": report["seconds"]}
  columns |= look(ne.load(workdir), seed) | {"commit": commit()}
  shutil.rmtree(workdir, ignore_errors=True)
  return columns


def look(trained: Any, seed: int) -> dict[str, Any]:
  """What the module says of a trained network's channel offsets; {} without any."""
  import jax
  import jax.numpy as jnp
  import optax
  from flax import traverse_util

  from neural_epitome.training.feed import Feed

  flat = traverse_util.flatten_dict(trained.variables["routing"], sep="/")
  maps = {path: np.asarray(v) for path, v in flat.items() if "/map/" in path}
  if not maps:
    return {}
  model, variables = trained.model, trained.variables
  shape = (1, *trained.config.data.input_shape)
  begun = model.init(jax.random.key(seed), jnp.zeros(shape), train=False)
  start = traverse_util.flatten_dict(begun["routing"], sep="/")
  moves = np.concatenate([np.ravel(np.abs(maps[p] - start[p])) for p in maps])

  images, labels = first_images(Feed(trained.config), IMAGES)

  @jax.jit
  def loss(maps: Any) -> jax.Array:
    routing = traverse_util.unflatten_dict(flat | maps, sep="/")
    logits = model.apply(variables | {"routing": routing}, images, train=False)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return jnp.mean(losses)

  before, slopes = loss(maps), jax.jit(jax.grad(loss))(maps)
  places = [(path, i) for path, value in maps.items() for i in np.ndindex(value.shape)]
  chosen = np.random.default_rng(seed).permutation(len(places))[:SAMPLE]
  promised: dict[int, list[float]] = {jump: [] for jump in JUMPS}
  kept: dict[int, list[float]] = {jump: [] for jump in JUMPS}
  for path, place in (places[i] for i in chosen):
    # Offsets are whole here, and their derivative is that to the right.
    slope = float(slopes[path][place])
    for jump in JUMPS:
      moved = maps[path].copy()
      moved[place] += jump
      promised[jump].append(slope * jump)
      kept[jump].append(float(loss(maps | {path: moved}) - before))
  return {
    "offsets": len(places),
    "moved_mean": round(float(moves.mean()), 3),
    "moved_largest": round(float(moves.max()), 3),
    "moved_half_cell": round(float(np.mean(moves > 0.5)), 3),
    **{
      f"promise_{jump}": round(float(np.corrcoef(promised[jump], kept[jump])[0, 1]), 3)
      for jump in JUMPS
    },
    "better_jumps": round(float(np.mean(np.concatenate([*kept.values()]) < 0)), 3),
  }


def first_images(feed: Any, count: int) -> tuple[np.ndarray, np.ndarray]:
  """The first training images as training sees them, and their labels."""
  images, labels = [], []
  with contextlib.closing(feed.training(0)) as batches:
    while sum(map(len, labels)) < count:
      batch = next(batches)
      images.append(np.asarray(batch["image"]))
      labels.append(np.asarray(batch["label"]))
  return np.concatenate(images)[:count], np.concatenate(labels)[:count]


def main() -> None:
  """Runs what is missing, as far as --minutes goes."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument("--rates", type=float, nargs="*", default=[8.0])
  parser.add_argument("--arms", nargs="*", choices=ARMS, default=list(ARMS))
  parser.add_argument("--minutes", type=float, default=math.inf, help="of this call")
  parser.add_argument("--workdir", default="runs/routing_study")
  arguments = parser.parse_args()
  output = common.RESULTS / "routing_study.csv"
  done = {(r["arm"], float(r["rate"]), int(r["seed"])) for r in read(output)}
  command = {"command": common.circumstances()["command"]}
  tasks, keys = [], {}
  for rate in arguments.rates:
    for seed in range(arguments.seeds):
      for arm in arguments.arms:
        if (arm, rate, seed) not in done:
          label = f"{arm}-{rate:g}-{seed}"
          keys[label] = {"arm": arm, "rate": f"{rate:g}", "seed": seed}
          tasks.append((label, (arm, rate, seed, Path(arguments.workdir) / label)))

  def keep(label: str, columns: dict[str, Any]) -> str:
    append(output, keys[label] | columns | command, COLUMNS)
    return f"{columns['top1']:.2f}%  {columns['seconds']:.0f} s"

  deadline = time.monotonic() + 60 * arguments.minutes
  workers.run_all(execute, tasks, keep, deadline=deadline)


if __name__ == "__main__":
  try:
    main()
  except UserError as error:
    sys.exit(f"error: {error}")
