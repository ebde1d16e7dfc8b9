"""Neural Search-space Evolution from its configuration to a trained network."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

import neural_epitome as ne
from neural_epitome.errors import UserError
from neural_epitome.runs import metrics
from neural_epitome.search import job, parts
from neural_epitome.spaces.gate_options import GateOptions, Penalty
from neural_epitome.strategies import NSE, RandomSearch
from tests.search.nse_tiny import CONFIG, SPACE

ROOT = pathlib.Path(__file__).parents[2]
pytestmark = [
  pytest.mark.xdist_group("search_nse"),
  pytest.mark.usefixtures("compilation_cache"),
]
WINDOW = pytest.approx([0.7 / 1.3, 1.0])


@pytest.fixture(scope="module")
def done(tmp_path_factory, cache_directory):
  del cache_directory
  workdir = tmp_path_factory.mktemp("nse") / "run"
  return workdir, job.run(CONFIG, workdir, quiet=True)


def lines(workdir):
  text = (workdir / "search/log.jsonl").read_text()
  return [json.loads(line) for line in text.splitlines()]


def policy(workdir, number):
  return ne.load(workdir / f"search/round_{number}").variables["policy"]


@pytest.mark.slow
def test_it_ends_with_a_network_of_the_window_trained_by_itself(done):
  workdir, report = done
  search = report["search"]
  assert np.array(search["window"]) / search["budget"] == WINDOW
  low, high = search["window"]
  assert low <= search["price"]["madds"] <= high
  last = [line for line in lines(workdir) if line["round"] == 2]
  assert search["top1"] == max(
    line["top1"] for line in last if low < line["madds"] <= high
  )
  trained = ne.load(workdir / "final")
  assert trained.config.model == SPACE.network(SPACE.from_json(search["arch"]))
  assert report["final"]["madds"] == search["price"]["madds"]
  assert report["final"]["stored_params"] == search["price"]["parameters"]
  assert not (workdir / "supernet").exists()
  # Begun again it hears everything from its log, and from its checkpoints.
  (workdir / "search/found.json").unlink()
  assert job.run(CONFIG, workdir, ["search"], quiet=True) == report


@pytest.mark.slow
def test_what_a_round_retains_is_scored_again_and_others_join(done):
  workdir, report = done
  first, second = report["search"]["rounds"]
  assert [len(own) for own in first["options"]] == [2, 2]
  assert first["kept"] == [[], []]
  assert first["coverage"] == pytest.approx(4 / 6)
  assert second["coverage"] == 1.0
  archs = {
    number: {json.dumps(x["arch"]) for x in lines(workdir) if x["round"] == number}
    for number in (1, 2)
  }
  assert archs[1] & archs[2]
  for kept, old, new in zip(
    second["kept"], first["options"], second["options"], strict=True
  ):
    assert set(kept) <= set(old) & set(new)
    assert set(new) - set(old)
  models = [ne.load(workdir / f"search/round_{n}").config.model for n in (1, 2)]
  for model, told in zip(models, (first, second), strict=True):
    assert [list(own) for own in model.space.only] == told["options"]
    assert [list(own) for own in model.kept] == [sorted(own) for own in told["kept"]]
    target = sum(report["search"]["window"]) / 2e6
    assert model.gates.penalties[0].target == pytest.approx(target)


@pytest.mark.slow
def test_gates_learn_in_the_run_of_the_weights_and_are_told_over_time(done):
  workdir, report = done
  gates = json.loads((workdir / "search/round_2/gates.json").read_text())
  assert gates["operations"] == [
    sorted(o) for o in report["search"]["rounds"][1]["options"]
  ]
  alpha = np.asarray(policy(workdir, 2)["alpha"])
  assert np.any(alpha != 0)
  on = 0.999 / (1 + np.exp(-alpha)) + 5e-4
  for row, own in zip(gates["history"][-1], on, strict=True):
    np.testing.assert_allclose(row, own[: len(row)], atol=1e-4)
  # 8 steps of the weights, every second one followed by one of the gates.
  assert len(gates["history"]) == 4
  logged = metrics.read(workdir / "search/round_1/metrics.jsonl")
  train = [line for line in logged if line["kind"] == "train"]
  assert all(line["gate_loss"] > 0 and line["gate_price"] > 0 for line in train)
  page = (workdir / "report/index.html").read_text()
  assert page.count("data:image/png") == 4
  assert "Gates over time" in page


VICTIM = """
import os, signal, sys
import jax
from neural_epitome.search import job
from neural_epitome.training.feed import Feed
from tests.search.nse_tiny import CONFIG

workdir, cache = sys.argv[1:]
jax.config.update("jax_compilation_cache_dir", cache)
plain = Feed.choosing

def deadly(feed, start):
  for number, batch in enumerate(plain(feed, start)):
    if number == 3:
      os.kill(os.getpid(), signal.SIGKILL)
    yield batch

Feed.choosing = deadly
job.run(CONFIG, workdir, ["search"], quiet=True)
"""


@pytest.mark.slow
def test_killed_between_steps_of_the_gates_it_ends_as_one_that_is_not(
  done, tmp_path, compilation_cache
):
  command = [sys.executable, "-c", VICTIM, str(tmp_path), str(compilation_cache)]
  environment = os.environ | {"PYTHONPATH": str(ROOT)}
  ended = subprocess.run(command, env=environment, timeout=300, check=False)
  assert ended.returncode == -signal.SIGKILL
  saved = (tmp_path / "search/round_1/checkpoints").iterdir()
  assert 0 < max(int(path.name) for path in saved if path.name.isdigit()) < 8
  job.run(CONFIG, tmp_path, ["search"], quiet=True)
  for mine, theirs in zip(lines(tmp_path), lines(done[0]), strict=True):
    assert mine | {"seconds": 0} == theirs | {"seconds": 0}
  for number in (1, 2):
    both = (policy(workdir, number) for workdir in (tmp_path, done[0]))
    jax.tree.map(np.testing.assert_array_equal, *both)


@pytest.mark.slow
def test_a_supernet_of_gates_is_searched_by_any_strategy(tmp_path):
  """One round of training on all operations, and no gates: the control."""
  search = dataclasses.replace(CONFIG.search, strategy=RandomSearch(3, window=0.5))
  model = dataclasses.replace(CONFIG.model, gates=None)
  config = dataclasses.replace(CONFIG, model=model, search=search)
  report = job.run(config, tmp_path, ["supernet", "search"], quiet=True)
  assert report["search"]["evaluations"] == 3
  assert report["search"]["price"]["madds"] <= report["search"]["budget"]
  assert ne.load(tmp_path / "supernet").variables.keys() >= {"params", "batch_stats"}


def with_search(**changes):
  search = dataclasses.replace(CONFIG.search, **changes)
  return dataclasses.replace(CONFIG, search=search)


def warnings(config):
  return parts.warnings(config, parts.problem(config, parts.prices(config, 10)))


def test_traps_are_told_before_anything_is_trained():
  assert warnings(CONFIG) == []
  few = with_search(strategy=NSE(capacity=2, rounds=1))
  [text] = warnings(few)
  assert "show at most 4 of 6" in text
  gates = GateOptions(penalties=(Penalty(target=5.0),))
  model = dataclasses.replace(CONFIG.model, gates=gates)
  [text] = warnings(dataclasses.replace(CONFIG, model=model))
  assert "held at a madds of 5e+06" in text
  [text] = warnings(with_search(budget=1e9))
  assert "No architecture is in the window" in text


def test_a_latency_needs_a_table_and_groups_are_warned_of(tmp_path):
  with pytest.raises(UserError, match=r"latency needs config\.search\.latency_table"):
    job.run(with_search(metric="latency"), tmp_path, quiet=True)
  config = ne.load_experiment("nse_group_mobile")
  assert "groups" in config.model.warnings("latency")[0]
  assert config.model.warnings("madds") == []
  assert not list(tmp_path.iterdir())
