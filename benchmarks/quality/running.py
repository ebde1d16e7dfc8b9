"""A job from its start to its row, taken up where it was left."""

import dataclasses
import datetime
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.quality import images, saved
from benchmarks.quality.arms import ARMS, Start, Teacher
from benchmarks.quality.images import Images
from benchmarks.quality.jobs import Job
from benchmarks.quality.networks import NETWORKS, dense_model, initial, inventory_of
from benchmarks.quality.training import Course, evaluate, remeasured, run_epoch
from neural_epitome.errors import UserError

Tree = Any
# An epoch may take so much longer than the one before.
_SLACK = 1.2
# Training images, without labels, on which statistics of batch norms are measured anew
# for a network that is not trained: the column `top1_remeasured`. Arms that look at
# examples look at these.
MEASURED = 1000


@dataclasses.dataclass(frozen=True)
class Place:
  """Where jobs find data and leave what they must keep.

  Attributes:
    data: folder of CIFAR-100's sheets, or None where all are decoded.
    cache: folder of decoded sheets.
    workdir: folder of checkpoints and trained networks.
    teachers: folder of trained teachers, in float16; in `workdir` if None.
  """

  data: Path | None
  cache: Path
  workdir: Path
  teachers: Path | None = None

  def checkpoint(self, job: Job) -> Path:
    """Of a job that is not finished."""
    return self.workdir / f"{job.name}.partial.npz"

  def trained(self, job: Job) -> Path:
    """Variables of a finished job that was trained."""
    folder = self.teachers if job.is_teacher and self.teachers else self.workdir
    return folder / f"{job.name}.npz"

  def images(self, names: tuple[str, ...]) -> Images:
    """Sheets on the device; see `images.load`."""
    return images.load(self.data, self.cache, names)


def run(
  job: Job,
  place: Place,
  deadline: float = math.inf,
  say: Callable[[str], None] = print,
) -> dict[str, Any] | None:
  """Runs a job, or what is left of it.

  Args:
    job: its teacher, if it has one, is trained.
    place: see there.
    deadline: of `time.monotonic()`; an epoch that would end later is not begun.
    say: is told of every epoch.

  Returns:
    The row, but for the commit, or None if the deadline came first.

  Raises:
    UserError: if the teacher is not trained or images are missing.
  """
  network = NETWORKS[job.network]
  rate = job.factor * network.recipe.learning_rate
  teacher, small = _start(job, place)
  train = place.images(network.names) if job.epochs else None
  count = train.label.shape[0] if train else network.images
  course = Course(
    model=small.model,
    teacher=None if job.is_dense else teacher.model,
    recipe=dataclasses.replace(network.recipe, learning_rate=rate),
    epochs=job.epochs,
    count=count,
  )
  state = course.start(small.variables)
  taught_by = {} if job.is_dense else teacher.variables
  # A checkpoint of a job that was another one by this name is left.
  about = f"{job} {network} {small.stored_bytes}"
  told = saved.told(place.checkpoint(job))
  epoch, seconds, cpu, last = 0, 0.0, 0.0, 0.0
  if told.get("about") == about:
    epoch, seconds, cpu = told["epoch"], told["seconds"], told["cpu_seconds"]
    last = seconds / epoch
    state = saved.load(place.checkpoint(job), state)
    say(f"{job.name}: goes on after epoch {epoch}")
  while epoch < job.epochs:
    if time.monotonic() + _SLACK * last > deadline:
      return None
    began, began_cpu = time.monotonic(), time.process_time()
    state, loss = run_epoch(course, state, train, taught_by, job.seed, epoch)
    if not math.isfinite(loss):
      raise UserError(f"the loss is {loss} in epoch {epoch + 1}.")
    if epoch + 1 < job.epochs:
      moved = small.between({"params": state["params"], **state["rest"]})
      state["params"] = moved["params"]
      state["rest"] = {name: moved[name] for name in state["rest"]}
    last = time.monotonic() - began
    epoch, seconds = epoch + 1, seconds + last
    cpu += time.process_time() - began_cpu
    told = {"about": about, "epoch": epoch, "seconds": seconds, "cpu_seconds": cpu}
    saved.save(place.checkpoint(job), state, **told)
    say(f"{job.name}: epoch {epoch} of {job.epochs}, loss {loss:.4f}, {last:.0f} s")
  variables = small.finish({"params": state["params"], **state["rest"]})
  if job.is_teacher:
    # It is kept so, beside the rows; what is tested is what is kept.
    variables = jax.tree.map(jnp.float32, halved(variables))
  test = evaluate(small.model, variables, place.images((job.tested,)))
  again = ""
  if not job.epochs:
    image = place.images(network.names[:1]).image[:MEASURED]
    other = remeasured(small.model, variables, image)
    again = round(evaluate(small.model, other, place.images((job.tested,)))["top1"], 3)
  if job.epochs:
    kept = halved(variables) if job.is_teacher else variables
    saved.save(place.trained(job), kept, top1=test["top1"])
  return {
    "job": job.name,
    "network": job.network,
    "arm": job.arm,
    "size": job.size,
    "bytes_ratio": round(4 * inventory_of(network.config).size / small.stored_bytes, 3),
    "stored_bytes": small.stored_bytes,
    "seed": job.seed,
    "epochs": job.epochs,
    "images": count if job.epochs else 0,
    "learning_rate": rate if job.epochs else "",
    "tested": job.tested,
    "top1": round(test["top1"], 3),
    "top1_remeasured": again,
    "loss": round(test["loss"], 5),
    "teacher_top1": "" if job.is_dense else round(teacher_top1(job, place), 3),
    "seconds": round(seconds, 1),
    "cpu_seconds": round(cpu, 1),
    "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
    "device": jax.devices()[0].device_kind,
    "jax": jax.__version__,
  }


def halved(variables: Tree) -> Tree:
  """In float16."""
  return jax.tree.map(jnp.float16, variables)


def teacher_top1(job: Job, place: Place) -> float:
  """Of the teacher of a job, in per cent."""
  return saved.told(place.trained(job.teacher))["top1"]


def _start(job: Job, place: Place) -> tuple[Teacher, Start]:
  """The teacher, and what is trained: of a dense network, itself."""
  network = NETWORKS[job.network]
  model = dense_model(network.config)
  if job.is_dense:
    variables = initial(model, job.seed)
    teacher = Teacher(network, variables)
    return teacher, Start(model, variables, 4 * teacher.inventory.size)
  path = place.trained(job.teacher)
  if not path.is_file():
    raise UserError(f"needs its teacher: run {job.teacher.name} first.")
  shapes = jax.eval_shape(lambda: initial(model, 0))

  def examples() -> jax.Array:
    return place.images(network.names[:1]).image[:MEASURED]

  teacher = Teacher(network, saved.load(path, shapes), examples)
  return teacher, ARMS[job.arm](teacher, job.size, job.seed)
