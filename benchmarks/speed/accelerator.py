"""A training step on a GPU: MobileNetV2 dense, materialised, folded, and timm's.

A part of benchmarks.speed.scale. It has run on no GPU yet, and timm's side nowhere: no
row of it is in results/.

224 px, 1000 classes, SGD with momentum, bfloat16 activations over float32 parameters.
timm's network runs under torch.compile in channels_last with autocast. Each lives in a
process of its own, which sleeps while another steps; both sides wait for the end of
every step. A TPU belongs to one process at a time, so this is for GPUs.
"""

import dataclasses
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks import common, interleave

VARIANTS = ("dense", "materialise", "fold", "timm")
SIZE, BATCH, STEPS_A_TURN, WARM_STEPS = 224, 256, 10, 5
CLASSES = 1000


def device_kind() -> str | None:
  """What JAX calls the GPU; None where it sees none."""
  # In a process of its own: one that has asked keeps a share of the memory.
  code = "import jax; d = jax.devices()[0]; print(d.platform, d.device_kind)"
  done = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=True
  )
  platform, _, kind = done.stdout.strip().splitlines()[-1].partition(" ")
  return kind if platform in ("gpu", "cuda") else None


def our_config(variant: str, size: int, batch: int) -> Any:
  """The experiment of a variant of ours."""
  from benchmarks.speed.step_time import variants
  from neural_epitome.config import override

  config = variants("mbv2_epitome")[variant]
  for path, text in {
    "data.image_size": str(size),
    "data.batch_size": str(batch),
    "data.channels": "3",
    "model.stage_strides": "[1,2,2,2,1,2,1]",
    "optimizer.name": "sgd",
    "training.precision": "bfloat16",
  }.items():
    config = override(config, path, text)
  return config


def our_madds(config: Any) -> int:
  """Multiply-adds of one image, as executed."""
  from neural_epitome.cost import totals
  from neural_epitome.training import setup

  inventory = setup.take_inventory(config, CLASSES)
  plan = config.planner.plan(inventory)
  return totals.price(plan, inventory, config.execution).madds


def torch_step(size: int, batch: int) -> Callable[[], None]:
  """One training step of timm's network on random images."""
  import timm
  import torch

  device = "cuda" if torch.cuda.is_available() else "cpu"
  layout = {"memory_format": torch.channels_last, "device": device}
  model = timm.create_model("mobilenetv2_100", num_classes=CLASSES).to(**layout)
  model = torch.compile(model.train())
  rule = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
  images = torch.randn(batch, 3, size, size).to(**layout)
  labels = torch.randint(0, CLASSES, (batch,), device=device)

  def run() -> None:
    rule.zero_grad(set_to_none=True)
    with torch.autocast(device, torch.bfloat16):
      loss = torch.nn.functional.cross_entropy(model(images), labels)
    loss.backward()
    rule.step()
    if device == "cuda":
      torch.cuda.synchronize()

  return run


def work(variant: str, size: int, batch: int) -> None:
  """Child process: seconds of a step, each turn."""
  if variant == "timm":
    run = torch_step(size, batch)
  else:
    from benchmarks.speed.step_time import make_step

    run = make_step(our_config(variant, size, batch), CLASSES)
  for _ in range(WARM_STEPS):
    run()

  def turn() -> dict[str, float]:
    begin = time.perf_counter()
    for _ in range(STEPS_A_TURN):
      run()
    return {"clock": (time.perf_counter() - begin) / STEPS_A_TURN}

  interleave.serve({}, turn)


@dataclasses.dataclass(frozen=True)
class Speed:
  """What one variant does.

  Attributes:
    images_per_second: the median over rounds.
    utilisation: of the device's published peak; None where it is not known.
    over_timm: the median ratio of images a second in the same round.
  """

  images_per_second: float
  utilisation: float | None
  over_timm: float


def measure(rounds: int, kind: str) -> dict[str, Speed]:
  """Runs all variants in turn on the GPU that JAX calls `kind`."""
  from neural_epitome.cost import peaks
  from neural_epitome.training import throughput

  os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # four share the memory
  size = (str(SIZE), str(BATCH))
  workers = {
    variant: interleave.Worker("benchmarks.speed.accelerator", [variant, *size])
    for variant in VARIANTS
  }
  taken = interleave.alternate(workers, rounds)
  for worker in workers.values():
    worker.close()
  times = {v: [turn["clock"] for turn in turns] for v, turns in taken.items()}
  peak, speeds = peaks.peak_flops(kind), {}
  for variant, clock in times.items():
    config = our_config("dense" if variant == "timm" else variant, SIZE, BATCH)
    flops = throughput.step_flops(our_madds(config), BATCH)
    median = statistics.median(clock)
    share = flops / median / peak if peak else None
    ratio = common.paired_ratio(times["timm"], clock)
    speeds[variant] = Speed(BATCH / median, share, ratio)
  return speeds


if __name__ == "__main__":
  work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
