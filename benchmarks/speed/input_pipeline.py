"""Images a second from JPEG files to augmented training batches at 224 pixels.

Three readers do the same work on the same files, one after the other within each
repeat, each in a process of its own that is bound to as many cores as it has
decoding threads or workers: RandomResizedCrop (area 0.08 to 1, ratio 3/4 to 4/3,
bicubic), flip, normalisation, batches of 64 float32 images.

  ours    the training batches of neural_epitome, in threads
  tf      tf.data: decode_and_crop_jpeg, tf.image.resize, in threads
  torch   DataLoader and Pillow; in the process for one, worker processes for more

The pictures are generated: 500 x 375, fractal noise and edges, about as many bytes
as ImageNet's. A reader whose library is missing is skipped, and said so.

  python -m benchmarks.speed.input_pipeline
"""

import argparse
import importlib.util
import json
import multiprocessing
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks import common

HEIGHT, WIDTH, SIZE, BATCH = 375, 500, 224, 64
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MINIMUM_AREA = 0.08
QUALITY = 94
NEEDS = {"ours": "grain", "tf": "tensorflow", "torch": "torch"}
PACKAGES = (
  "numpy",
  "grain",
  "simplejpeg",
  "opencv-python-headless",
  "tensorflow-cpu",
  "torch",
  "pillow",
)


def picture(generator: np.random.Generator) -> np.ndarray:
  """Fractal noise with some sharp-edged shapes: uint8 (HEIGHT, WIDTH, 3)."""
  import cv2

  image = np.zeros((HEIGHT, WIDTH, 3), np.float32)
  for level in range(9):
    shape = (max(2, HEIGHT >> level), max(2, WIDTH >> level))
    light = generator.normal(size=(*shape, 1))
    noise = np.float32(light + 0.3 * generator.normal(size=(*shape, 3)))
    image += 1.3**level * cv2.resize(noise, (WIDTH, HEIGHT))
  image = 120 + 55 * image / image.std()
  for _ in range(12):
    corners = generator.integers(0, (WIDTH, HEIGHT), (3, 2)).astype(np.int32)
    layer = np.zeros_like(image)
    cv2.fillConvexPoly(layer, corners, generator.normal(0, 40, 3).tolist())
    image += layer
  return np.clip(image, 0, 255).astype(np.uint8)


def write_pictures(folder: pathlib.Path, count: int) -> float:
  """Writes `count` JPEG files in two class folders; returns their mean bytes."""
  import cv2

  generator, sizes = np.random.default_rng(0), []
  for index in range(count):
    path = folder / "train" / f"class{index % 2}" / f"{index:04}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    data = cv2.imencode(".jpg", picture(generator), options)[1].tobytes()
    path.write_bytes(data)
    sizes.append(len(data))
  return statistics.mean(sizes)


def ours(folder: pathlib.Path, workers: int):
  """Yields this project's batches."""
  from neural_epitome.data import pipeline, sources
  from neural_epitome.data.options import Augmentation, DataOptions

  options = DataOptions(
    dataset=str(folder),
    image_size=SIZE,
    channels=3,
    mean=MEAN,
    std=STD,
    batch_size=BATCH,
    threads=workers,
    cache_megabytes=0,
    augmentation=Augmentation(minimum_area=MINIMUM_AREA, flip=True),
  )
  source = sources.open_source(options, "train[:100%]")
  with pipeline.training_batches(source, options, seed=0) as batches:
    for batch in batches:
      yield batch["image"]


def tf(folder: pathlib.Path, workers: int):
  """Yields tf.data's batches."""
  import tensorflow as tf

  tf.config.threading.set_intra_op_parallelism_threads(workers)
  tf.config.threading.set_inter_op_parallelism_threads(workers)
  files = sorted(map(str, (folder / "train").rglob("*.jpg")))
  labels = [int(pathlib.Path(name).parent.name[-1]) for name in files]

  def prepare(name, label):
    data = tf.io.read_file(name)
    begin, size, _ = tf.image.sample_distorted_bounding_box(
      tf.io.extract_jpeg_shape(data),
      tf.zeros((1, 0, 4)),
      aspect_ratio_range=(3 / 4, 4 / 3),
      area_range=(MINIMUM_AREA, 1.0),
      max_attempts=10,
      use_image_if_no_bounding_boxes=True,
    )
    box = tf.concat([begin[:2], size[:2]], 0)
    image = tf.image.decode_and_crop_jpeg(
      data, box, channels=3, dct_method="INTEGER_FAST"
    )
    image = tf.image.resize(image, (SIZE, SIZE), "bicubic")
    image = tf.image.random_flip_left_right(image)
    return (image / 255.0 - tf.constant(MEAN)) / tf.constant(STD), label

  options = tf.data.Options()
  options.threading.private_threadpool_size = workers
  options.threading.max_intra_op_parallelism = 1
  dataset = tf.data.Dataset.from_tensor_slices((files, labels))
  dataset = dataset.shuffle(len(files)).repeat()
  dataset = dataset.map(prepare, num_parallel_calls=workers)
  dataset = dataset.batch(BATCH, drop_remainder=True).prefetch(2)
  for image, _ in dataset.with_options(options).as_numpy_iterator():
    yield image


def torch(folder: pathlib.Path, workers: int):
  """Yields the batches of torch's DataLoader over Pillow images."""
  import torch
  from PIL import Image

  from neural_epitome.data.cropping import random_box

  torch.set_num_threads(1)
  mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]

  class Files(torch.utils.data.Dataset):
    def __init__(self):
      self.files = sorted((folder / "train").rglob("*.jpg"))
      self.generator = np.random.default_rng(0)

    def __len__(self):
      return len(self.files)

    def __getitem__(self, index):
      with open(self.files[index], "rb") as file:
        image = Image.open(file).convert("RGB")
      top, left, height, width = random_box(
        self.generator, image.height, image.width, MINIMUM_AREA
      )
      box = (left, top, left + width, top + height)
      image = image.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=box)
      if self.generator.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
      # As torchvision's ToTensor and Normalize do.
      pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
      pixels = pixels.contiguous().to(torch.float32).div_(255)
      return pixels.sub_(mean).div_(std), index % 2

  # Files are read over and over; epochs end too soon to measure otherwise.
  files = Files()
  sampler = torch.utils.data.RandomSampler(files, replacement=True, num_samples=10**7)
  loader = torch.utils.data.DataLoader(
    files,
    BATCH,
    sampler=sampler,
    num_workers=0 if workers == 1 else workers,
    multiprocessing_context=None if workers == 1 else "fork",
  )
  for image, _ in loader:
    yield image


def cpu_seconds() -> float:
  """Processor time of this process and its worker processes so far."""
  total = time.process_time()
  for child in multiprocessing.active_children():
    # Fields 14 and 15, counted after the name, which may hold blanks.
    stat = pathlib.Path(f"/proc/{child.pid}/stat")
    if stat.exists():
      fields = stat.read_text().rpartition(")")[2].split()
      total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
  return total


def measure(
  reader: str, folder: pathlib.Path, workers: int, seconds: float
) -> tuple[float, float]:
  """Images a second, and a second of processor time, after some to warm up."""
  if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:workers])
  batches = {"ours": ours, "tf": tf, "torch": torch}[reader](folder, workers)
  for _ in range(3 + 2 * workers):
    image = next(batches)
  assert image.shape[0] == BATCH
  count, start, busy = 0, time.perf_counter(), cpu_seconds()
  while time.perf_counter() - start < seconds:
    next(batches)
    count += BATCH
  return count / (time.perf_counter() - start), count / (cpu_seconds() - busy)


def ahead(rates: dict[str, float]) -> float:
  """Our rate over that of the best other reader."""
  return rates["ours"] / max(rate for name, rate in rates.items() if name != "ours")


def run(arguments: argparse.Namespace) -> list[dict[str, object]]:
  """Measures every reader; returns one row for each with each number of workers."""
  readers = []
  for reader, module in NEEDS.items():
    if importlib.util.find_spec(module):
      readers.append(reader)
    else:
      print(f"{reader}: skipped, {module} is not installed.")
  environment = os.environ | {
    "PYTHONPATH": str(pathlib.Path(__file__).parents[2]),
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "OMP_NUM_THREADS": "1",
  }
  rows = []
  with tempfile.TemporaryDirectory() as name:
    size = write_pictures(pathlib.Path(name), arguments.pictures)
    print(f"{arguments.pictures} pictures, {size / 1024:.0f} KiB each on average.")
    for workers in arguments.workers:
      rates: dict[str, list[list[float]]] = {reader: [] for reader in readers}
      for _ in range(arguments.repeats):
        for reader in readers:
          command = [
            sys.executable,
            "-m",
            "benchmarks.speed.input_pipeline",
            "--measure",
            reader,
          ]
          command += [
            "--folder",
            name,
            "--workers",
            str(workers),
            "--seconds",
            str(arguments.seconds),
          ]
          output = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
          )
          if output.returncode:
            raise RuntimeError(f"{reader}: {output.stderr[-2000:]}")
          rates[reader].append(json.loads(output.stdout.splitlines()[-1]))
      wall = {r: statistics.median(rate[0] for rate in rates[r]) for r in readers}
      busy = {r: statistics.median(rate[1] for rate in rates[r]) for r in readers}
      for reader in readers:
        is_ours = reader == "ours" and len(readers) > 1
        rows.append(
          {
            "reader": reader,
            "workers": workers,
            "images_per_second": round(wall[reader], 1),
            "images_per_cpu_second": round(busy[reader], 1),
            "slowest_repeat": round(min(rate[0] for rate in rates[reader]), 1),
            "fastest_repeat": round(max(rate[0] for rate in rates[reader]), 1),
            "ours_over_best": round(ahead(wall), 3) if is_ours else "",
            "ours_over_best_cpu": round(ahead(busy), 3) if is_ours else "",
            "repeats": arguments.repeats,
            "seconds_each": arguments.seconds,
            "mean_file_bytes": round(size),
          }
        )
        print({k: v for k, v in list(rows[-1].items())[:8]}, flush=True)
  return rows


def main() -> None:
  """Runs the command line."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
  parser.add_argument("--pictures", type=int, default=256, help="files to generate")
  parser.add_argument("--repeats", type=int, default=5)
  parser.add_argument("--seconds", type=float, default=4.0, help="of one measurement")
  parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
  parser.add_argument("--measure", help=argparse.SUPPRESS)
  parser.add_argument("--folder", type=pathlib.Path, help=argparse.SUPPRESS)
  arguments = parser.parse_args()
  if arguments.measure:
    (workers,) = arguments.workers
    rate = measure(arguments.measure, arguments.folder, workers, arguments.seconds)
    print(json.dumps(rate), flush=True)
    os._exit(0)  # readers that read ahead need no orderly end here
  print(common.write("input_pipeline", run(arguments), PACKAGES))


if __name__ == "__main__":
  main()
