"""Progress of a run: a bar on a terminal, a line every ten seconds elsewhere."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from tqdm import tqdm

LINE_SECONDS = 10.0
BAR_SECONDS = 1.0
SMOOTHING = 0.9


class SteadyBar(tqdm):
  """A bar that no correction of the machine's date stops, or sends backwards."""

  def __init__(self, *arguments: Any, **options: Any):
    """See `tqdm`, which takes the time of day."""
    super().__init__(*arguments, **options)
    self._time = time.monotonic
    self.start_t = self.last_print_t = self._time()


class Progress:
  """Shows the progress of training, with the time that is left and a smoothed loss."""

  def __init__(self, total: int, step: int, quiet: bool):
    """Starts at `step` of `total`; `quiet` shows nothing."""
    self._total, self._quiet = total, quiet
    self._loss: float | None = None
    self._speed = ""
    self._timed_from: tuple[float, int] | None = None
    self._last_line = time.monotonic()
    self._bar = None
    if not quiet and sys.stderr.isatty():
      self._bar = SteadyBar(
        total=total, initial=step, unit="step", dynamic_ncols=True, leave=False
      )

  @contextlib.contextmanager
  def compiling(self) -> Iterator[None]:
    """Says "compiling", and for how long, while the block lasts.

    The block keeps the calling thread busy, so another one watches the clock. The
    time that is left is counted from the end of the block on.
    """
    if self._quiet:
      yield
      return
    start, is_over = time.monotonic(), threading.Event()

    def tell() -> None:
      seconds = time.monotonic() - start
      if self._bar is not None:
        self._bar.set_description_str(f"compiling, {clock(seconds)}")
      else:
        print(f"compiling the training step, {clock(seconds)}", flush=True)

    def watch() -> None:
      while not is_over.wait(LINE_SECONDS if self._bar is None else BAR_SECONDS):
        tell()

    tell()
    watcher = threading.Thread(target=watch, name="compiling", daemon=True)
    watcher.start()
    try:
      yield
    finally:
      is_over.set()
      watcher.join()
      if self._bar is not None:
        self._bar.set_description_str("")
        self._bar.unpause()

  def update(self, step: int, loss: float, speed: Mapping[str, float]) -> None:
    """Shows that `step` steps are done.

    Args:
      step: number of steps done since the run began.
      loss: of the last step, nats.
      speed: of `throughput.Meter.read`; if empty, the previous one is shown.
    """
    now = time.monotonic()
    previous = loss if self._loss is None else self._loss
    self._loss = SMOOTHING * previous + (1.0 - SMOOTHING) * loss
    if self._timed_from is None:
      # The first step is mostly compilation and says nothing of the rest.
      self._timed_from = now, step
    self._speed = speed_text(speed) or self._speed
    if self._bar is not None:
      text = f"loss {self._loss:.3f}{self._speed}"
      self._bar.set_postfix_str(text, refresh=False)
      self._bar.update(step - self._bar.n)
    elif not self._quiet and now - self._last_line >= LINE_SECONDS:
      self._last_line = now
      print(self._line(now, step), flush=True)

  def _line(self, now: float, step: int) -> str:
    start, first = self._timed_from or (now, step)
    eta = "?"
    if step > first:
      eta = clock((now - start) / (step - first) * (self._total - step))
    share = step / self._total
    return (
      f"step {step}/{self._total} ({share:.0%})  loss {self._loss:.3f}{self._speed}  "
      f"ETA {eta}"
    )

  def say(self, text: str) -> None:
    """Prints a line without breaking the bar."""
    if self._quiet:
      return
    if self._bar is not None:
      self._bar.write(text, file=sys.stdout)
    else:
      print(text, flush=True)

  def close(self) -> None:
    """Removes the bar."""
    if self._bar is not None:
      self._bar.close()


def bar(total: int, unit: str, quiet: bool, done: int = 0) -> tqdm:
  """A progress bar for work other than training; lines where there is no terminal.

  Args:
    total: number of units of work.
    unit: what they are called, in the plural.
    quiet: shows nothing.
    done: units that are done already.
  """
  is_terminal = sys.stderr.isatty()
  return SteadyBar(
    total=total,
    initial=done,
    unit=f" {unit}",
    disable=quiet,
    dynamic_ncols=is_terminal,
    mininterval=0.1 if is_terminal else LINE_SECONDS,
    leave=not is_terminal,
  )


def speed_text(speed: Mapping[str, float]) -> str:
  """Measurements of `throughput.Meter.read` as the end of a line; "" for none."""
  if not speed:
    return ""
  rate, wait = speed["images_per_second"], speed["input_wait"]
  text = f"  {_rate(rate)} images/s"
  each = speed.get("images_per_second_per_device", rate)
  if each != rate:
    text += f" ({_rate(each)} a device)"
  text += f"  input wait {wait:.0%}"
  share = speed.get("flops_utilisation")
  return text if share is None else f"{text}  {share:.1%} of peak"


def _rate(value: float) -> str:
  return f"{value:,.{0 if value >= 100 else 1}f}"


def clock(seconds: float) -> str:
  """Seconds as 1:02:03, or 2:03 below an hour."""
  minutes, rest = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
