"""Trains every network of a small space, and can be stopped at any time.

  python -m benchmarks.search.exhaustive --data=DIR --workdir=runs/queue     # goes on
  python -m benchmarks.search.exhaustive --list
  python -m benchmarks.search.exhaustive --data=DIR --seconds=540 --together=64

The space is that of `benchmarks.search.truth.chain`; the data are CIFAR-100's sheets,
as `benchmarks.queue` takes them: 8,000 images to train on, 2,000 to choose by, and the
test split. A network's seeds train side by side, in one program that computes any
choice; --together more networks as well, which pays on an accelerator alone. A row of
results/chain_table.csv is written when its network is done, and never again.
"""

import argparse
import dataclasses
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from benchmarks.controls.rows import append, commit
from benchmarks.quality import images as sheets
from benchmarks.quality.images import CLASSES, TEST, TRAIN, Images
from benchmarks.quality.training import Course
from benchmarks.search.side_by_side import course, top1, train
from benchmarks.search.truth import chain
from neural_epitome.errors import UserError
from neural_epitome.runs.malloc import keep_freed_memory
from neural_epitome.spaces.cost_model import Prices

TRAINED, EPOCHS = 8000, 8
COLUMNS = (*chain.GENES, *chain.MEASURED, "seconds", "commit", "device", "jax")


@dataclasses.dataclass(frozen=True)
class Splits:
  """Images to train on, to choose by and to judge by."""

  train: Images
  held_out: Images
  test: Images


def load(data: Path | None, cache: Path) -> Splits:
  """The first sheet of the training set, divided, and the test sheet."""
  known = sheets.load(data, cache, TRAIN[:1])
  return Splits(
    Images(known.image[:TRAINED], known.label[:TRAINED]),
    Images(known.image[TRAINED:], known.label[TRAINED:]),
    sheets.load(data, cache, (TEST,)),
  )


def rows(
  training: Course, encodings: Sequence[Sequence[int]], splits: Splits
) -> list[dict[str, Any]]:
  """Trains networks side by side; a row each, but for commit and device."""
  archs, begin = [chain.arch(encoding) for encoding in encodings], time.monotonic()
  states = train(training, archs, chain.SEEDS, splits.train)
  shape = (len(archs), len(chain.SEEDS))
  held_out = top1(training, states, splits.held_out).reshape(shape)
  test = top1(training, states, splits.test).reshape(shape)
  seconds = round((time.monotonic() - begin) / len(archs), 2)
  prices = Prices(chain.SPACE, CLASSES, sheets.SHAPE[-1])
  made = []
  for index, arch in enumerate(archs):
    price = prices.of(arch)
    row = chain.names(encodings[index]) | {"seconds": seconds}
    row |= {name: int(price[name]) for name in ("madds", "parameters")}
    row |= dict(zip(chain.TOP1, held_out[index].round(5).tolist(), strict=True))
    row |= dict(zip(chain.TEST_TOP1, test[index].round(5).tolist(), strict=True))
    made.append(row)
  return made


def work(
  splits: Splits,
  output: Path,
  seconds: float = math.inf,
  together: int = 1,
  training: Course | None = None,
) -> None:
  """Trains what is owed, as far as the time goes; see the module.

  Args:
    splits: the images.
    output: the CSV.
    seconds: of this call; what would end later is not begun.
    together: networks at a time.
    training: how; for `EPOCHS` epochs if None.
  """
  begin, version, last = time.monotonic(), commit(), 0.0
  done = {tuple(row[gene] for gene in chain.GENES) for row in chain.read(output)}
  owed = [
    own for own in chain.encodings() if tuple(chain.names(own).values()) not in done
  ]
  about = {"commit": version, "device": jax.devices()[0].device_kind}
  training = training or course(chain.SPACE, splits.train.label.shape[0], EPOCHS)
  for first in range(0, len(owed), together):
    before = time.monotonic()
    if before - begin + last > seconds:
      return
    for row in rows(training, owed[first : first + together], splits):
      append(output, row | about | {"jax": jax.__version__}, COLUMNS)
      print(f"{len(done) + first + 1} of {len(chain.encodings())}: {row}", flush=True)
    last = time.monotonic() - before


def show(output: Path) -> None:
  """Prints how many networks are done, and the noise of the table so far."""
  known = chain.read(output)
  print(f"{len(known)} of {len(chain.encodings())} networks are trained")
  if len(known) > 1:
    seconds = sum(float(row["seconds"]) for row in known) / len(known)
    left = seconds * (len(chain.encodings()) - len(known)) / 3600
    print(f"{seconds:.1f} s a network, {left:.1f} h left")
    print(
      ", ".join(f"{name} {value:.4f}" for name, value in chain.noise(known).items())
    )


def main() -> None:
  """The command line."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("--data", type=Path, help="folder of CIFAR-100's sheets")
  parser.add_argument("--workdir", type=Path, default=Path("runs/queue"))
  parser.add_argument("--output", type=Path, default=chain.PATH)
  parser.add_argument("--seconds", type=float, default=math.inf, help="of this call")
  parser.add_argument("--together", type=int, default=1, help="networks at a time")
  parser.add_argument("--list", action="store_true", help="what is done and owed")
  options = parser.parse_args()
  if options.list:
    show(options.output)
    return
  keep_freed_memory()
  jax.config.update("jax_compilation_cache_dir", str(options.workdir / "compiled"))
  splits = load(options.data, options.workdir / "data")
  work(splits, options.output, options.seconds, options.together)


if __name__ == "__main__":
  try:
    main()
  except UserError as error:
    sys.exit(f"error: {error}")
