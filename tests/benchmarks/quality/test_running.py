"""One job: what it trains, and that stopping it changes nothing."""

import dataclasses
import time

import jax
import numpy as np
import pytest

from benchmarks.quality import networks, running, saved
from benchmarks.quality.jobs import Job
from neural_epitome.errors import UserError


def run(job, place, **options):
  return running.run(job, place, say=lambda line: None, **options)


def variables(job, place):
  shapes = jax.eval_shape(
    lambda: networks.initial(
      networks.dense_model(networks.NETWORKS[job.network].config), 0
    )
  )
  return saved.load(place.trained(job), shapes)


@pytest.mark.slow
def test_a_job_that_was_stopped_ends_as_one_that_was_not(tiny, place, tmp_path):
  job = Job(tiny, "dense", seed=1, epochs=2)
  stopped, whole = (
    dataclasses.replace(place, workdir=tmp_path / name) for name in ("a", "b")
  )

  class Killed(Exception):
    pass

  def kill(line):
    if "epoch 1 of 2" in line:
      raise Killed

  with pytest.raises(Killed):
    running.run(job, stopped, say=kill)
  told = saved.told(stopped.checkpoint(job))
  assert told["epoch"] == 1
  # No time is left for the second epoch.
  assert run(job, stopped, deadline=time.monotonic()) is None
  rows = [run(job, where) for where in (stopped, whole)]
  # Those of the first session count; a row has tenths.
  assert rows[0]["seconds"] >= round(told["seconds"], 1) > 0
  for name in ("top1", "loss", "job", "stored_bytes"):
    assert rows[0][name] == rows[1][name]
  jax.tree.map(
    np.testing.assert_array_equal, variables(job, stopped), variables(job, whole)
  )


@pytest.mark.slow
def test_a_checkpoint_of_another_recipe_is_not_taken_up(tiny, place, monkeypatch):
  job = Job(tiny, "dense", seed=0, epochs=1)
  run(job, place)
  assert saved.told(place.checkpoint(job))["epoch"] == 1
  network = networks.NETWORKS[tiny]
  recipe = dataclasses.replace(network.recipe, learning_rate=0.0)
  monkeypatch.setitem(
    networks.NETWORKS, tiny, dataclasses.replace(network, recipe=recipe)
  )
  said = []
  running.run(job, place, say=said.append)
  assert [line.partition(", ")[0] for line in said] == [f"{job.name}: epoch 1 of 1"]


@pytest.mark.slow
def test_the_seed_says_all(tiny, place):
  job = Job(tiny, "dense", seed=0, epochs=1)
  first, again = run(job, place)["loss"], run(job, place)["loss"]
  other = run(dataclasses.replace(job, seed=1), place)["loss"]
  assert first == again != other


@pytest.mark.slow
def test_a_rate_is_looked_at_on_another_sheet(tiny, place):
  job = Job(tiny, "dense", seed=0, epochs=1)
  look = dataclasses.replace(job, factor=4.0, tested="train-0")
  assert not look.is_teacher
  rows = run(job, place), run(look, place)
  assert rows[1]["learning_rate"] == 4 * rows[0]["learning_rate"]
  assert [row["tested"] for row in rows] == ["test", "train-0"]
  assert rows[1]["loss"] != rows[0]["loss"]


def test_students_need_their_teacher_by_name(tiny, place):
  with pytest.raises(UserError, match="run tiny-dense-x1-e2-s3 first"):
    run(Job(tiny, "int8", seed=3, epochs=0), place)


def test_missing_sheets_are_named(tiny, place):
  place.data.joinpath("train-0.webp").unlink()
  with pytest.raises(UserError, match="train-0: neither in --data="):
    run(Job(tiny, "dense", seed=0, epochs=1), place)
