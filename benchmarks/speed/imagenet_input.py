"""Processor time of an image on its way from ImageNet's files to a training batch.

Pictures of ImageNet's form are generated and prepared as ImageNet is (mixed sizes, grey
and CMYK ones among them); then the training batches of the shipped recipes are read at
224 pixels, in threads and in worker processes. Images a second of processor time do not
depend on what else the machine does as those of wall-clock time do; from them follows
how many cores a host needs for a training step of so many images a second.

  python -m benchmarks.speed.imagenet_input
"""

import argparse
import dataclasses
import statistics
import tempfile
import time

import neural_epitome as ne
from benchmarks import common
from benchmarks.speed.input_pipeline import cpu_seconds
from neural_epitome.data import pipeline, prepare, sources

# What is read, beside the crop and the flip that all have.
RECIPES = {
  "mbv2_dense_imagenet": "colour jitter",
  "resnet50_epitome_imagenet": "nothing more",
}
BATCH = 64
# Images a second that a host is asked for.
WANTED = 2000
PACKAGES = ("numpy", "grain", "simplejpeg", "opencv-python-headless", "array-record")


def generate(data_dir: str, per_class: int) -> None:
  """Draws and prepares `imagenet2012` in `data_dir`."""
  with tempfile.TemporaryDirectory() as drawn:
    for arguments in (
      ["imagenet_form", f"--data_dir={drawn}", f"--train={per_class}"],
      [
        "imagenet2012",
        f"--source={drawn}",
        f"--data_dir={data_dir}",
        "--allow_partial",
      ],
    ):
      if prepare.main(arguments):
        raise RuntimeError(f"prepare {arguments} failed.")


def measure(
  experiment: str, data_dir: str, threads: int, workers: int, seconds: float
) -> tuple[float, float]:
  """Images a second, and a second of processor time, after some to warm up."""
  options = dataclasses.replace(
    ne.load_experiment(experiment).data,
    data_dir=data_dir,
    batch_size=BATCH,
    threads=threads,
    workers=workers,
  )
  source = sources.open_source(options, "train")
  with pipeline.training_batches(source, options, seed=0) as batches:
    for _ in range(4 + 4 * workers):
      next(batches)
    count, start, busy = 0, time.perf_counter(), cpu_seconds()
    while time.perf_counter() - start < seconds:
      next(batches)
      count += BATCH
    return count / (time.perf_counter() - start), count / (cpu_seconds() - busy)


def run(arguments: argparse.Namespace, data_dir: str) -> list[dict[str, object]]:
  """A row for every recipe and number of threads and workers."""
  modes = [(1, 0), (2, 0), (1, 2)]
  rates: dict[tuple, list[tuple[float, float]]] = {
    (name, *mode): [] for name in RECIPES for mode in modes
  }
  for _ in range(arguments.repeats):
    for (name, threads, workers), measured in rates.items():
      measured.append(measure(name, data_dir, threads, workers, arguments.seconds))
  rows = []
  for (name, threads, workers), measured in rates.items():
    wall = [rate for rate, _ in measured]
    busy = [rate for _, rate in measured]
    per_core = statistics.median(busy)
    rows.append(
      {
        "experiment": name,
        "beside_crop_and_flip": RECIPES[name],
        "threads": threads,
        "workers": workers,
        "images_per_second": round(statistics.median(wall), 1),
        "images_per_cpu_second": round(per_core, 1),
        "slowest_repeat": round(min(busy), 1),
        "fastest_repeat": round(max(busy), 1),
        f"cores_for_{WANTED}_a_second": round(WANTED / per_core, 1),
        "repeats": arguments.repeats,
        "seconds_each": arguments.seconds,
      }
    )
    print(rows[-1], flush=True)
  return rows


def main() -> None:
  """Runs the command line."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
  parser.add_argument("--per_class", type=int, default=1, help="pictures to generate")
  parser.add_argument("--repeats", type=int, default=5)
  parser.add_argument("--seconds", type=float, default=5.0, help="of one measurement")
  parser.add_argument("--data_dir", help="where imagenet2012 is prepared already")
  arguments = parser.parse_args()
  if arguments.data_dir:
    rows = run(arguments, arguments.data_dir)
  else:
    with tempfile.TemporaryDirectory() as data_dir:
      generate(data_dir, arguments.per_class)
      rows = run(arguments, data_dir)
  print(common.write("imagenet_input", rows, PACKAGES))


if __name__ == "__main__":
  main()
