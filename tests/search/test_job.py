"""From a configuration to a trained network, whatever interrupts it."""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from flax import traverse_util

import neural_epitome as ne
from neural_epitome.config import Config, OptimizerOptions, TrainingOptions
from neural_epitome.data.options import DataOptions
from neural_epitome.distributed import devices
from neural_epitome.errors import UserError
from neural_epitome.search import job, latency_measurement, parts
from neural_epitome.spaces import SupernetConfig, latency
from neural_epitome.strategies import Given, NetAdapt, RandomSearch, SubsetEvolution
from neural_epitome.strategies.options import SearchOptions
from neural_epitome.training import evaluation, initialization, setup
from neural_epitome.training.feed import Feed
from tests.spaces.tiny import PLAIN

ROOT = pathlib.Path(__file__).parents[2]
# What they share is made once.
pytestmark = pytest.mark.xdist_group("search_job")

CONFIG = Config(
  name="searched",
  model=SupernetConfig(space=PLAIN),
  data=DataOptions(
    train_split="train[:256]",
    evaluation_split="train[256:320]",
    batch_size=32,
    evaluation_batch_size=32,
  ),
  optimizer=OptimizerOptions(learning_rate=3e-3),
  training=TrainingOptions(
    epochs=0.5,
    reestimation_batches=0,
    evaluate_every=0.0,
    checkpoint_every=1e6,
    tensorboard=False,
  ),
  search=SearchOptions(
    strategy=NetAdapt(layers=1, reduction=0.3),
    share=0.6,
    statistics_batches=2,
    final_epochs=0.25,
    final_train_split="train[:320]",
    final_evaluation_split="test[:64]",
  ),
)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("search") / "run"
  return workdir, job.run(CONFIG, workdir, quiet=True)


def with_search(**changes):
  search = dataclasses.replace(CONFIG.search, **changes)
  return dataclasses.replace(CONFIG, search=search)


@pytest.mark.slow
def test_it_ends_with_a_network_within_the_budget(done):
  workdir, report = done
  search = report["search"]
  assert (
    search["price"]["madds"] <= search["budget"] == 0.6 * search["largest"]["madds"]
  )
  trained = ne.load(workdir / "final")
  assert report["final"]["madds"] == search["price"]["madds"]
  assert report["final"]["stored_params"] == search["price"]["parameters"]
  assert trained.config.search is None
  assert trained.config.data.evaluation_split == "test[:64]"
  assert json.loads((workdir / "report/report.json").read_text()) == report
  page = (workdir / "report/index.html").read_text()
  assert page.count("data:image/png") == 2
  assert "left out" in page or search["arch"]["width"][0]


@pytest.mark.slow
def test_the_network_that_was_found_starts_as_accurate_as_it_was_found(done):
  workdir, report = done
  arch = CONFIG.model.space.from_json(report["search"]["arch"])
  config = parts.final_config(CONFIG, arch, 10, workdir / "search/variables.npz")
  plan = setup.make_plan(config, setup.take_inventory(config, 10))
  model = setup.build(config, 10, plan)
  arrays, _ = initialization.read(config.training.start, config)
  variables = traverse_util.unflatten_dict(arrays, sep="/") | {"routing": {}}
  mesh = devices.make_mesh()
  counter = evaluation.make_counter(model, mesh)
  with contextlib.closing(Feed(CONFIG).evaluation()) as batches:
    shares = evaluation.evaluate(counter, {"raw": variables}, batches, mesh)
  assert shares["raw"]["top1"] == report["search"]["top1"]


@pytest.mark.slow
def test_an_interrupted_search_asks_what_an_uninterrupted_one_does(done, tmp_path):
  workdir, _ = done
  again = tmp_path / "again"
  shutil.copytree(workdir / "supernet", again / "supernet")
  shutil.copytree(workdir / "search", again / "search")
  log = again / "search/log.jsonl"
  lines = log.read_text().splitlines(keepends=True)
  # Killed while the third answer was written.
  log.write_text("".join(lines[:2]) + lines[2][:30])
  (again / "search/found.json").unlink()
  job.run(CONFIG, again, ["search"], quiet=True)
  actual, expected = (
    [json.loads(line) for line in path.read_text().splitlines()]
    for path in (log, workdir / "search/log.jsonl")
  )
  for one, other in zip(actual, expected, strict=True):
    assert one | {"seconds": 0} == other | {"seconds": 0}
  for name in ("arch", "top1", "price"):
    reports = [
      json.loads((d / "search/found.json").read_text()) for d in (again, workdir)
    ]
    assert reports[0][name] == reports[1][name]


@pytest.mark.slow
def test_a_finished_search_does_nothing_again(done, capsys):
  workdir, report = done
  before = (workdir / "search/log.jsonl").read_text()
  assert job.run(CONFIG, workdir) == report
  assert (workdir / "search/log.jsonl").read_text() == before
  output = capsys.readouterr().out
  assert "search is done" in output


@pytest.mark.slow
def test_each_stage_says_which_command_is_next(done, capsys):
  workdir, _ = done
  assert job.run(CONFIG, workdir, command="python search.py")
  lines = capsys.readouterr().out.splitlines()
  commands = [
    line.removeprefix("Next: ") for line in lines if line.startswith("Next: ")
  ]
  assert commands[:2] == [f"python search.py --stages={s}" for s in ("search", "final")]
  assert commands[2].startswith(
    "python -m neural_epitome.main --mode=export --workdir="
  )
  assert len(commands) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
  ("config", "words"),
  [
    (with_search(share=0.01), r"search\.share=0\.01 is .* below the smallest network"),
    (with_search(share=0.5), "holds a search with another share"),
    (with_search(metric="latency"), r"latency needs config\.search\.latency_table"),
    (with_search(final_evaluation_split="train[256:320]"), "they must differ"),
    (dataclasses.replace(CONFIG, search=None), "is no search"),
    (
      dataclasses.replace(
        CONFIG, training=dataclasses.replace(CONFIG.training, budget="8x")
      ),
      r"budget='8x' is for --mode=train",
    ),
    (
      dataclasses.replace(CONFIG, data=DataOptions(image_size=8)),
      r"image_size=28 is not config\.data\.image_size=8",
    ),
  ],
)  # fmt: skip
def test_a_search_that_cannot_be_is_refused_before_it_costs_anything(
  done, tmp_path, config, words
):
  workdir = shutil.copytree(done[0], tmp_path / "run")
  if config.search and config.search.share != 0.5:
    shutil.rmtree(workdir / "search")
  with pytest.raises(UserError, match=words) as caught:
    job.run(config, workdir, ["search"], quiet=True)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
  "changes",
  [{"share": 0.01}, {"metric": "latency"}, {"strategy": SubsetEvolution(options=1)}],
)
def test_what_no_search_can_meet_is_refused_before_a_supernet_trains(changes, tmp_path):
  with pytest.raises(UserError):
    job.run(with_search(**changes), tmp_path, quiet=True)
  assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_answers_of_another_supernet_are_not_taken_for_this_ones(done, tmp_path):
  workdir = shutil.copytree(done[0], tmp_path / "run")
  report = workdir / "supernet/report/report.json"
  changed = json.loads(report.read_text()) | {"seconds": 12345.0}
  report.write_text(json.dumps(changed))
  with pytest.raises(UserError, match="holds a search with another supernet"):
    job.run(CONFIG, workdir, ["search"], quiet=True)


@pytest.mark.slow
def test_a_choice_that_somebody_made_is_trained_as_a_found_one(done, tmp_path):
  workdir = tmp_path / "run"
  shutil.copytree(done[0] / "supernet", workdir / "supernet")
  space = CONFIG.model.space
  file = tmp_path / "arch.json"
  file.write_text(json.dumps(space.smallest.to_json()))
  config = with_search(strategy=Given(str(file)))
  report = job.run(config, workdir, quiet=True)
  assert report["search"]["arch"] == space.smallest.to_json()
  assert report["search"]["evaluations"] == 1
  assert report["final"]["madds"] == report["search"]["price"]["madds"]
  # What does not fit is told by the gene and the file.
  wrong = space.smallest.to_json()
  wrong["width"][0] = 7
  file.write_text(json.dumps({"arch": wrong, "top1": 0.5}))
  shutil.rmtree(workdir / "search")
  with pytest.raises(UserError, match=r"arch\.json\.width\[0\]=7 is not in the space"):
    job.run(config, workdir, ["search"], quiet=True)


@pytest.mark.slow
def test_a_strategy_may_train_anew_as_it_goes(tmp_path):
  strategy = SubsetEvolution(rounds=2, options=2, samples=3)
  config = with_search(strategy=strategy)
  workdir = tmp_path / "run"
  report = job.run(config, workdir, ["supernet", "search"], quiet=True)
  # Each round is a training run of a part of the space, and there is no other.
  assert not (workdir / "supernet").exists()
  rounds = [ne.load(workdir / f"search/round_{number}") for number in (1, 2)]
  assert not (workdir / "search/round_3").exists()
  parts = [trained.config.model.space for trained in rounds]
  assert CONFIG.model.space.only == ()
  assert parts[0].only
  assert parts[1].only not in ((), parts[0].only)
  lines = [
    json.loads(line) for line in (workdir / "search/log.jsonl").read_text().splitlines()
  ]
  assert report["search"]["evaluations"] == len(lines)
  for number, part in enumerate(parts, start=1):
    of_round = [line for line in lines if line["round"] == number]
    assert of_round
    for line in of_round:
      part.from_json(line["arch"])
  # What was found is of the last round, and in its weights.
  search = report["search"]
  last = [line for line in lines if line["round"] == 2]
  assert search["top1"] == max(line["top1"] for line in last)
  assert report["supernet"]["seconds"] == sum(
    json.loads((workdir / f"search/round_{n}/report/report.json").read_text())[
      "seconds"
    ]
    for n in (1, 2)
  )
  # Begun again it hears both rounds from the log, and trains none.
  before = (workdir / "search/log.jsonl").read_text()
  (workdir / "search/found.json").unlink()
  assert job.run(config, workdir, ["search"], quiet=True) == report
  assert (workdir / "search/log.jsonl").read_text() == before
  # Other weights would not have answered so.
  (workdir / "search/found.json").unlink()
  shutil.rmtree(workdir / "search/round_2")
  with pytest.raises(UserError, match=r"round_2 is gone, and .* has answers of its"):
    job.run(config, workdir, ["search"], quiet=True)
  assert not (workdir / "search/round_2").exists()


@pytest.mark.slow
def test_a_search_that_is_killed_ends_as_one_that_is_not(done, tmp_path):
  """SIGKILL of the process that searches, at its third answer."""
  workdir = tmp_path / "run"
  shutil.copytree(done[0] / "supernet", workdir / "supernet")
  log = workdir / "search/log.jsonl"
  script = (
    "from neural_epitome.search import job; from tests.search.test_job import CONFIG; "
    f"job.run(CONFIG, {str(workdir)!r}, ['search'], quiet=True)"
  )
  with subprocess.Popen([sys.executable, "-c", script]) as process:
    deadline = time.monotonic() + 120
    while not log.exists() or log.read_bytes().count(b"\n") < 3:
      assert process.poll() is None
      assert time.monotonic() < deadline
      time.sleep(0.001)
    process.kill()
  before = log.read_bytes().splitlines()[:3]
  assert not (workdir / "search/found.json").exists()
  assert job.run(CONFIG, workdir, quiet=True)["search"]["evaluations"] > 3
  assert log.read_bytes().splitlines()[:3] == before
  for name in ("arch", "top1", "price", "evaluations"):
    reports = [
      json.loads((d / "search/found.json").read_text())[name]
      for d in (workdir, done[0])
    ]
    assert reports[0] == reports[1]
  files = [d / "search/variables.npz" for d in (workdir, done[0])]
  mine, theirs = (np.load(file) for file in files)
  assert mine.files == theirs.files
  for name in mine.files:
    np.testing.assert_array_equal(mine[name], theirs[name])


@pytest.mark.slow
def test_two_processes_ask_the_same_and_write_it_once(done, tmp_path):
  workdir = tmp_path / "run"
  shutil.copytree(done[0] / "supernet", workdir / "supernet")
  file = tmp_path / "searched.py"
  file.write_text('"""Tiny."""\nfrom tests.search.test_job import CONFIG\n')
  command = [
    *(sys.executable, "-m", "launch.local_cluster", "--processes=2", "--"),
    *("--mode=search", f"--experiment={file}", f"--workdir={workdir}"),
  ]
  ended = subprocess.run(
    command,
    cwd=ROOT,
    env=os.environ | {"JAX_PLATFORMS": "cpu"},
    capture_output=True,
    text=True,
    timeout=300,
    check=False,
  )
  assert ended.returncode == 0, ended.stdout + ended.stderr
  log, expected = (
    [json.loads(line) for line in (d / "search/log.jsonl").read_text().splitlines()]
    for d in (workdir, done[0])
  )
  assert [entry["arch"] for entry in log] == [entry["arch"] for entry in expected]
  assert [entry["top1"] for entry in log] == [entry["top1"] for entry in expected]
  assert (workdir / "final/status").read_text().strip() == "done"
  # Both go through the stages, and one says so.
  assert {line[:6] for line in ended.stdout.splitlines() if "] ==" in line} == {
    "[0] =="
  }


def test_a_stage_without_its_input_says_which_comes_first(tmp_path):
  with pytest.raises(UserError, match="--stages=supernet trains it"):
    job.run(CONFIG, tmp_path, ["search"], quiet=True)
  with pytest.raises(UserError, match="--stages=search finds a network first"):
    job.run(CONFIG, tmp_path, ["final"], quiet=True)


@pytest.mark.slow
def test_a_measured_latency_is_a_budget_like_others(done, tmp_path):
  """A table that says every block takes as long as it is wide."""
  space = CONFIG.model.space
  here = latency.Circumstances.here(1)
  rows = latency_measurement._all_keys(space)
  blocks = tuple((*key, float(key[3])) for key in rows if key[0] >= 0)
  ends = tuple((*key[1:], 1.0) for key in rows if key[0] < 0)
  latency.LatencyTable(here, space, ends, blocks).save(tmp_path / "table.json")
  config = with_search(
    strategy=RandomSearch(evaluations=4),
    metric="latency",
    budget=20.0,
    latency_table=str(tmp_path / "table.json"),
  )
  shutil.copytree(done[0] / "supernet", tmp_path / "run/supernet")
  report = job.run(config, tmp_path / "run", ["search"], quiet=True)
  search = report["search"]
  assert search["price"]["latency"] == 1.0 + sum(search["arch"]["width"]) <= 20.0
  assert search["evaluations"] == 4
