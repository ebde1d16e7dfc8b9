"""How fast training goes: images a second, input wait, use of the devices.

Nothing waits for a device here. The clock is read when the metrics of a step have
reached the host, which the loop reads a step or two late (`metrics.Pending`): by then
that step is finished, and from one such moment to the next lies the time of one step,
whether the devices, the input or the loop itself is what it waited for.

What is no part of a step is left out: compilation, evaluation, saving, and the first
step after each, in which the queue of steps fills again.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from neural_epitome.config import Config
from neural_epitome.cost import peaks, totals
from neural_epitome.training.setup import Setup

# What `Meter.read` may return.
FIELDS = (
  "images_per_second",
  "images_per_second_per_device",
  "input_wait",
  "flops_utilisation",
)
# A backward pass computes a gradient for inputs and one for kernels, each as many
# multiply-adds as the forward pass.
PASSES, FLOPS_PER_MADD = 3, 2


def step_flops(madds: int, batch_size: int) -> int:
  """Floating-point operations of one training step, by convention.

  Three times the multiply-adds of the forward pass as executed (folded where kernels
  fold), two operations each. Batch norms, activations, generating kernels, the update
  and what is computed twice do not count: it is what the network needs, not what the
  devices did.

  Args:
    madds: of one example, see `totals.price`.
    batch_size: images of a global batch.
  """
  return FLOPS_PER_MADD * PASSES * madds * batch_size


def total_peak(devices: Iterable[Any], each_peak: float = 0.0) -> float | None:
  """Peak FLOP/s of all devices together; None where one is not in `cost.peaks`.

  Args:
    devices: of the mesh.
    each_peak: FLOP/s of one device, instead of the published; 0 looks it up.
  """
  each = [each_peak or peaks.peak_flops(device.device_kind) for device in devices]
  known = [peak for peak in each if peak is not None]
  return sum(known) if len(known) == len(each) else None


class Meter:
  """Times the steps of one process."""

  def __init__(
    self,
    batch_size: int,
    devices: int,
    flops: int,
    peak: float | None,
    clock: Callable[[], float] = time.perf_counter,
  ):
    """Starts with nothing measured.

    Args:
      batch_size: images of a global batch.
      devices: that share it, of all processes.
      flops: of one step, see `step_flops`.
      peak: FLOP/s of all devices, see `total_peak`; None where it is not known.
      clock: tells seconds.
    """
    self._clock = clock
    self._batch_size, self._devices = batch_size, devices
    self._flops, self._peak = flops, peak
    self._is_paused, self._last = False, None
    self._waiting = 0.0
    self._clear()

  def _clear(self) -> None:
    self._steps, self._seconds, self._waited = 0, 0.0, 0.0

  @contextlib.contextmanager
  def input(self) -> Iterator[None]:
    """Around taking the next batch. The time inside is input wait."""
    self._is_paused = False
    begin = self._clock()
    yield
    self._waiting += self._clock() - begin

  def arrived(self) -> None:
    """The metrics of the next step have reached the host."""
    if self._is_paused:
      return
    now = self._clock()
    if self._last is not None:
      self._steps += 1
      self._seconds += now - self._last
      self._waited += self._waiting
    self._last, self._waiting = now, 0.0

  def pause(self) -> None:
    """Leaves the time until the next batch is taken out of the measurement."""
    # Steps that arrive meanwhile were waited for out of turn: they would look fast.
    self._is_paused, self._last = True, None

  def read(self) -> dict[str, float]:
    """Means over the steps since the last values; empty where there was no step.

    Returns:
      images_per_second of all devices together, and images_per_second_per_device.
      input_wait: share of the time in which the loop waited for the next batch; the
        devices may have had earlier steps to work on, but where it nears 1, input is
        what limits the run.
      flops_utilisation: `step_flops` over what the devices could do in that time at
        peak, in bfloat16 whatever the run computes in; absent where it is not known.
    """
    if not self._steps or not self._seconds:
      return {}
    rate = self._steps * self._batch_size / self._seconds
    values = {
      "images_per_second": rate,
      "images_per_second_per_device": rate / self._devices,
      "input_wait": self._waited / self._seconds,
    }
    if self._peak is not None:
      flops = self._flops * self._steps / self._seconds
      values["flops_utilisation"] = flops / self._peak
    self._clear()
    # More digits than a clock has to tell.
    return {name: float(f"{value:.4g}") for name, value in values.items()}


def make_meter(config: Config, setup: Setup) -> Meter:
  """The meter of a run."""
  price = totals.price(setup.plan, setup.inventory, config.execution)
  return Meter(
    config.data.batch_size,
    setup.mesh.size,
    step_flops(price.madds, config.data.batch_size),
    total_peak(setup.mesh.devices.flat, config.training.peak_flops),
  )
