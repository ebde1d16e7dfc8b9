"""Whole runs of a tiny experiment: resume, refusal, divergence."""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

import neural_epitome as ne
from neural_epitome import codec
from neural_epitome.checkpointing.checkpoints import Checkpoints
from neural_epitome.epitome import rounding
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.errors import UserError
from neural_epitome.export import compact, inference_model
from neural_epitome.runs import metrics
from neural_epitome.training import loading, setup, throughput
from tests.training import tiny

ROOT = pathlib.Path(__file__).parents[2]

# One worker runs all of them: the uninterrupted run they compare with is made once.
pytestmark = [
  pytest.mark.slow,
  pytest.mark.xdist_group("loop"),
  pytest.mark.usefixtures("compilation_cache"),
]
KEYS = [
  "experiment", "dataset", "seed", "steps", "seconds", "top1", "top1_ema",
  "stored_params", "expanded_params", "stored_bytes", "madds", "adds",
  "folded_madds", "dense_madds", "dense_params",
]  # fmt: skip


# Runs the tiny experiment in a process that sends itself a signal when the batch of
# a given step is read.
VICTIM = """
import os, signal, sys
import jax
import neural_epitome as ne
from neural_epitome.training.feed import Feed
from tests.training import tiny

workdir, name, at, cache = sys.argv[1:]
jax.config.update("jax_compilation_cache_dir", cache)
jax.config.update("jax_numpy_dtype_promotion", "strict")
plain = Feed.training

class Deadly:
  def __init__(self, batches, step):
    self.batches, self.step = batches, step
  def __iter__(self):
    return self
  def __next__(self):
    if self.step == int(at):
      assert "tensorflow" not in sys.modules
      os.kill(os.getpid(), getattr(signal, name))
    self.step += 1
    return next(self.batches)
  def close(self):
    self.batches.close()

Feed.training = lambda self, step: Deadly(plain(self, step), step)
ne.run(tiny.experiment(), workdir)
"""


def interrupt(workdir, name, at, cache):
  environment = os.environ | {
    "PYTHONPATH": str(ROOT),
  }
  return subprocess.run(
    [sys.executable, "-c", VICTIM, str(workdir), name, str(at), str(cache)],
    env=environment,
    capture_output=True,
    text=True,
    timeout=300,
    check=False,
  )


def assert_same_run(actual, expected):
  """Bit for bit: the variables, raw and averaged, and every metric but the time."""
  for weights in ("raw", "ema"):
    one, other = ne.load(actual, weights=weights), ne.load(expected, weights=weights)
    assert one.step == other.step
    jax.tree.map(np.testing.assert_array_equal, one.variables, other.variables)
  lines = [
    [
      {k: v for k, v in line.items() if k not in ("seconds", *throughput.FIELDS)}
      for line in metrics.read(workdir / "metrics.jsonl")
    ]
    for workdir in (actual, expected)
  ]
  assert lines[0] == lines[1]


def test_a_run_of_few_bits_trains_and_evaluates_what_its_file_holds(tmp_path):
  config = dataclasses.replace(
    tiny.experiment(epochs=0.3, ema_decay=0.0, reestimation_batches=0),
    indices=IndexOptions(source="fixed"),
    bits=8,
  )
  report = ne.run(config, tmp_path / "run", quiet=True)
  trained = ne.load(tmp_path / "run")
  shipped, file = inference_model.shipped(trained), tmp_path / "tiny.safetensors"
  compact.write(file, shipped)
  loaded = dataclasses.replace(ne.load(file), config=config)
  assert loading.evaluate(loaded)["top1"] == report["top1"]
  assert report["stored_bytes"] < 0.5 * 4 * report["stored_params"]
  # What is trained lies between the integers.
  epitome = trained.variables["params"]["conv_1"]["epitome"]
  moved = epitome - rounding.straight_through(epitome, 8)
  assert np.mean(moved != 0) > 0.9


def test_a_run_leaves_what_it_promises(whole):
  workdir, report = whole
  assert list(report) == KEYS
  assert json.loads((workdir / "report/report.json").read_text()) == report
  assert report["steps"] == 12
  assert report["experiment"] == "tiny"
  assert 0 <= report["top1"] <= 1
  assert 0 <= report["top1_ema"] <= 1
  assert report["stored_params"] < report["dense_params"]
  assert (workdir / "status").read_text() == "done\n"
  page = (workdir / "report/index.html").read_text()
  maps = [*workdir.glob("report/routing/*.png")]
  curves = [*workdir.glob("report/curves/*.png")]
  assert maps
  assert page.count("by step") == len(curves) == 4
  assert page.count('alt="routing map of') == len(maps)
  assert "http" not in page, "the page needs nothing from elsewhere"
  evaluation = json.loads((workdir / "evaluation.json").read_text())
  assert (evaluation["weights"], evaluation["step"]) == ("ema", 12)
  assert evaluation["examples"] == 50
  right = sum(row["correct"] for row in evaluation["classes"])
  assert right / 50 == report["top1_ema"]
  assert np.trace(evaluation["confusion"]) == right
  assert np.sum(evaluation["confusion"]) == 50
  assert page.count("<figcaption>") == min(12, right) + min(12, 50 - right)
  environment = json.loads((workdir / "environment.json").read_text())
  assert environment["jax"] == jax.__version__ in page
  lines = metrics.read(workdir / "metrics.jsonl")
  assert [r["step"] for r in lines if r["kind"] == "train"] == list(range(1, 13))
  assert [r["step"] for r in lines if r["kind"] == "evaluation"] == [5, 10, 12]


def test_an_example_of_the_report_is_predicted_as_its_page_says(whole):
  workdir, _ = whole
  [row] = loading.predict(ne.load(workdir), [workdir / "report/example.png"])
  page = (workdir / "report/index.html").read_text()
  *_, last = page.partition("<h3>Recognised</h3>")[2].split("<figure>")
  best = row["top"][0]
  assert best["class"] in last.partition("</figcaption>")[0]
  assert f"{best['probability']:.0%}" in last


def test_done_says_so_and_returns_the_same_report(whole, capsys):
  workdir, report = whole
  before = (workdir / "metrics.jsonl").read_bytes()
  assert ne.run(tiny.experiment(), workdir) == report
  assert "is done; its report is" in capsys.readouterr().out
  assert (workdir / "metrics.jsonl").read_bytes() == before


def test_killed_and_resumed_ends_bit_for_bit(whole, tmp_path, compilation_cache):
  done = interrupt(tmp_path / "run", "SIGKILL", 9, compilation_cache)
  assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
  assert (tmp_path / "run/status").read_text() == "incomplete\n"
  ne.run(tiny.experiment(), tmp_path / "run", quiet=True)
  assert_same_run(tmp_path / "run", whole[0])


def test_terminated_saves_exits_and_resumes_bit_for_bit(
  whole, tmp_path, compilation_cache
):
  done = interrupt(tmp_path / "run", "SIGTERM", 6, compilation_cache)
  assert done.returncode == 143, done.stderr[-2000:]
  assert "Traceback" not in done.stderr
  assert "Stopped by SIGTERM; saved step" in done.stdout
  assert (tmp_path / "run/status").read_text() == "incomplete\n"
  half = ne.load(tmp_path / "run")
  assert 0 < half.step < 12
  ne.run(tiny.experiment(), tmp_path / "run", quiet=True)
  assert_same_run(tmp_path / "run", whole[0])


def test_ctrl_c_saves_says_where_and_resumes_bit_for_bit(
  whole, tmp_path, compilation_cache
):
  done = interrupt(tmp_path / "run", "SIGINT", 6, compilation_cache)
  assert done.returncode == -signal.SIGINT, done.stderr[-2000:]
  assert "stopping after this step; press it again" in done.stderr
  last = done.stderr.strip().splitlines()[-1]
  half = ne.load(tmp_path / "run")
  assert f"Stopped by Ctrl-C; saved step {half.step}/12 in {tmp_path}" in last
  assert 0 < half.step < 12
  assert not (tmp_path / "run/lock").exists()
  ne.run(tiny.experiment(), tmp_path / "run", quiet=True)
  assert_same_run(tmp_path / "run", whole[0])


def test_a_truncated_checkpoint_falls_back_and_ends_the_same(whole, tmp_path, capsys):
  workdir = shutil.copytree(whole[0], tmp_path / "run")
  (workdir / "status").write_text("incomplete\n")
  for file in (workdir / "checkpoints/12/state").rglob("*"):
    if file.is_file():
      file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
  ne.run(tiny.experiment(), workdir)
  said = capsys.readouterr().out
  assert "Checkpoint of step 12 cannot be read" in said
  assert "Resuming" in said
  assert_same_run(workdir, whole[0])


def test_a_directory_of_another_run_is_refused_and_untouched(whole, tmp_path):
  workdir = whole[0]
  before = {f: f.stat().st_mtime_ns for f in workdir.rglob("*")}
  other = dataclasses.replace(tiny.experiment(), name="other")
  with pytest.raises(UserError, match="belongs to experiment 'tiny', not 'other'"):
    ne.run(other, workdir, quiet=True)
  with pytest.raises(UserError, match=r"config\.training\.seed=0, not 1"):
    ne.run(tiny.experiment(seed=1), workdir, quiet=True)
  assert {f: f.stat().st_mtime_ns for f in workdir.rglob("*")} == before


def test_divergence_stops_names_the_step_and_keeps_the_last_good_checkpoint(
  tmp_path, capsys
):
  config = tiny.experiment()
  fast = dataclasses.replace(
    config.optimizer, name="sgd", learning_rate=1e25, warmup_epochs=0.0
  )
  config = dataclasses.replace(config, optimizer=fast)
  workdir = tmp_path / "run"
  with pytest.raises(UserError, match=r"Training diverged at step \d+: loss") as caught:
    ne.run(config, workdir, quiet=True)
  step = int(str(caught.value).split("step ")[1].split(":")[0])
  assert (workdir / "status").read_text() == "diverged\n"
  last = metrics.read(workdir / "metrics.jsonl")[-1]
  assert last["step"] == step
  kept = Checkpoints(workdir / "checkpoints", None, {})
  with contextlib.closing(kept):
    assert all(saved < step for saved in kept.steps())
  if kept.steps():
    trained = ne.load(workdir)
    leaves = jax.tree.leaves(trained.variables["params"])
    assert all(np.isfinite(leaf).all() for leaf in leaves)
    # Whoever opens it is told, and so is who resumes it.
    assert f"{workdir} has diverged" in capsys.readouterr().err
  with pytest.raises(UserError, match="Training diverged"):
    ne.run(config, workdir, quiet=True)
  assert f"{workdir} has diverged; it goes on from step" in capsys.readouterr().err


def test_a_batch_that_does_not_divide_is_refused_before_anything_is_written(tmp_path):
  config = tiny.experiment()
  data = dataclasses.replace(config.data, batch_size=18)
  with pytest.raises(UserError, match=r"batch_size=18 does not divide .* 16 or 20"):
    ne.run(dataclasses.replace(config, data=data), tmp_path / "run", quiet=True)
  assert not (tmp_path / "run").exists()


def test_a_loaded_network_evaluates_as_its_report_says(whole):
  workdir, report = whole
  for weights, key in (("raw", "top1"), ("ema", "top1_ema")):
    trained = ne.load(workdir, weights=weights)
    assert len(trained.classes) == 10
    assert trained.config == tiny.experiment()
    assert ne.evaluate(trained)["top1"] == report[key]
  plan = json.loads((workdir / "plan.json").read_text())
  assert codec.encode(trained.plan)["kernels"] == plan["kernels"]


def test_predictions_name_classes_in_order_of_probability(whole, tmp_path):
  cv2 = pytest.importorskip("cv2")
  file = tmp_path / "image.png"
  cv2.imwrite(str(file), np.arange(784, dtype=np.uint8).reshape(28, 28))
  trained = ne.load(whole[0])
  (row,) = loading.predict(trained, [file], top=10)
  assert row["image"] == str(file)
  assert {c["class"] for c in row["top"]} == set(trained.classes)
  shares = [c["probability"] for c in row["top"]]
  assert shares == sorted(shares, reverse=True)
  np.testing.assert_allclose(sum(shares), 1.0, rtol=1e-5)


def test_a_plan_needs_no_data_where_the_number_of_classes_is_given(tmp_path):
  config = tiny.experiment()
  data = dataclasses.replace(config.data, data_dir=str(tmp_path))
  known = dataclasses.replace(data, dataset="imagenet2012", classes=1000)
  inventory, plan = setup.plan(dataclasses.replace(config, data=known))
  assert inventory.kernels[-1].shape == (16, 1000)
  assert set(plan.kernels) == {use.path for use in inventory.kernels}
  unknown = dataclasses.replace(data, dataset="nobody_knows")
  with pytest.raises(UserError, match="nobody_knows"):
    setup.plan(dataclasses.replace(config, data=unknown))


def test_loading_what_is_no_run_says_so(tmp_path):
  with pytest.raises(UserError, match=r"config\.json does not exist: .* holds no run"):
    ne.load(tmp_path)
