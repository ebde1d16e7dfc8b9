"""What counts as a step's time, on a clock that is turned by hand."""

import jax
import pytest

from neural_epitome.training import throughput

BATCH, DEVICES, FLOPS, PEAK = 32, 4, 600, 1000.0


class Clock:
  """Seconds that pass when told to."""

  def __init__(self):
    self.now = 100.0

  def __call__(self):
    return self.now


@pytest.fixture
def clock():
  return Clock()


@pytest.fixture
def meter(clock):
  return throughput.Meter(BATCH, DEVICES, FLOPS, PEAK, clock)


def train(meter, clock, steps, wait=0.5, work=1.5):
  for _ in range(steps):
    with meter.input():
      clock.now += wait
    clock.now += work
    meter.arrived()


def test_rates_are_of_all_steps_since_the_last_reading(meter, clock):
  train(meter, clock, 1)
  train(meter, clock, 3)
  assert meter.read() == {
    "images_per_second": 16.0,
    "images_per_second_per_device": 4.0,
    "input_wait": 0.25,
    "flops_utilisation": 0.3,
  }
  assert meter.read() == {}
  train(meter, clock, 2, wait=2.0, work=2.0)
  reading = meter.read()
  assert (reading["images_per_second"], reading["input_wait"]) == (8.0, 0.5)


def test_compilation_is_no_step(meter, clock):
  train(meter, clock, 1, work=60.0)
  assert meter.read() == {}
  train(meter, clock, 1)
  assert meter.read()["images_per_second"] == 16.0


def test_a_pause_and_the_step_after_it_change_nothing(meter, clock):
  train(meter, clock, 4)
  meter.pause()
  meter.arrived()  # two steps that had been queued
  meter.arrived()
  clock.now += 1000.0
  train(meter, clock, 1, wait=30.0, work=30.0)
  train(meter, clock, 2)
  reading = meter.read()
  assert (reading["images_per_second"], reading["input_wait"]) == (16.0, 0.25)


def test_a_device_of_unknown_peak_has_no_utilisation(clock):
  assert throughput.total_peak(jax.devices()) is None
  assert throughput.total_peak(jax.devices(), 2e12) == 4e12
  meter = throughput.Meter(BATCH, DEVICES, FLOPS, None, clock)
  train(meter, clock, 2)
  assert set(meter.read()) == set(throughput.FIELDS) - {"flops_utilisation"}


def test_a_step_is_three_forward_passes_of_two_operations_a_multiply_add():
  assert throughput.step_flops(100, 8) == 3 * 2 * 100 * 8
