"""The machinery of the comparison: what is run, what is skipped, what is chosen."""

import argparse
import itertools
import sys

import pytest

from benchmarks.controls import (
  comparison as controls,
)
from benchmarks.controls import (
  rows as control_rows,
)
from benchmarks.controls import (
  suites as control_suites,
)
from benchmarks.controls.methods import (
  METHODS,
  inventory_of,
  methods_at,
  stored,
  target,
)
from neural_epitome.errors import UserError
from neural_epitome.report.summary import prices

# Networks of a size are looked for once, and kept by the process that found them.
pytestmark = pytest.mark.xdist_group("controls")


def arguments(**changes):
  defaults = {
    "suite": "2d",
    "size": "small",
    "split": "validation",
    "seeds": 2,
    "close_seeds": 0,
    "methods": None,
    "backbones": None,
    "datasets": None,
    "rates": None,
  }
  return argparse.Namespace(**defaults | changes)


def as_row(job, **columns):
  return {
    "suite": "2d",
    "size": "small",
    "backbone": job.setting.backbone,
    "dataset": job.setting.dataset,
    "split": job.split,
    "method": job.method,
    "rate": f"{job.rate:g}",
    "seed": str(job.seed),
    "trial": control_rows.trial_text(job.trial),
  } | columns


SETTINGS = {
  f"{size}-{setting.backbone}-{setting.dataset}": setting
  for suite in ("2d", "1d")
  for size in ("small", "quick", "full")
  for setting in control_suites.settings(suite, size)
}
# What cannot be, by name: there is no depthwise convolution to multiply.
REFUSED = {("resnet", "depth_multiplier"), ("soundnet", "depth_multiplier")}


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, m in METHODS.items() if m.rates is None])
@pytest.mark.parametrize(
  "setting",
  ["small-mbconv-embedded", "small-resnet8-embedded", "small-soundnet_small-plaid"],
)
def test_every_method_stores_the_same_number_at_the_first_rate(setting, name):
  setting, method = SETTINGS[setting], METHODS[name]
  rate, dense = setting.rates[0], setting.dense
  if (dense.model.kind, name) in REFUSED:
    with pytest.raises(UserError, match=name):
      method.configure(dense, rate, **method.trials[0])
    return
  if method.is_pruned:
    return  # known only when there is a trained network to prune
  for options in method.trials:
    config = method.configure(dense, rate, **options)
    assert abs(stored(config) - target(dense, rate)) <= 0.01 * target(dense, rate)
    if "factor" in options and len(options) == 1:
      break  # the learning rate stores nothing


def test_every_method_has_the_same_number_of_trials():
  assert {len(method.trials) for method in METHODS.values()} == {4}


@pytest.fixture(scope="module")
def validation():
  return list(controls.jobs(arguments(), []))


@pytest.mark.slow
def test_validation_never_reads_the_test_split_nor_shares_its_seeds(validation):
  rows = [as_row(job, top1="50") for job in validation]
  test = list(controls.jobs(arguments(split="test"), rows))
  assert validation
  assert test
  assert not {job.seed for job in validation} & {job.seed for job in test}
  for job in validation:
    data = job.configuration().data if job.method == "dense" else None
    if data is not None:
      assert "test" not in data.train_split + data.evaluation_split
      assert data.train_split != data.evaluation_split


def test_folds_are_never_trained_and_tested_on():
  for setting in control_suites.settings("1d", "small"):
    data = setting.dense.data
    train, held_out = setting.validation
    test = data.evaluation_split
    assert test not in data.train_split.split("+")
    assert held_out not in train.split("+")
    assert test not in (held_out, *train.split("+"))


TOPS = {0.5: 60.0, 1.0: 70.0, 2.0: 69.0, 4.0: 50.0}


def test_the_trial_with_the_best_validation_mean_is_used_for_the_test():
  options = arguments(methods="tile", backbones="mbconv")
  rows = [
    as_row(job, top1=str(TOPS[job.trial["factor"]] + job.seed % 2))
    for job in controls.jobs(options, [])
  ]
  chosen = arguments(methods="tile", backbones="mbconv", split="test")
  runs = list(controls.jobs(chosen, rows))
  assert {job.trial["factor"] for job in runs} == {1.0}
  # Neither some of the trials, nor trials that were changed, choose anything.
  with pytest.raises(UserError, match="not tried with factor=4"):
    list(controls.jobs(chosen, [r for r in rows if "4.0" not in r["trial"]]))
  tested = [as_row(job, top1="50", trial="factor=2.0") for job in runs]
  with pytest.raises(UserError, match=r"was tested with factor=2\.0"):
    list(controls.jobs(chosen, rows + tested))


def test_methods_within_a_point_of_the_learned_one_get_the_further_seeds():
  shared = {"backbones": "mbconv", "split": "test", "rates": [16.0], "seeds": 3}
  setting, _ = control_suites.settings("2d", "small")
  tops = {"learned": 88.0, "random": 87.2, "tile": 86.9, "hashed": 88.9, "dense": 91.0}
  folded = {"learned_folded": 90.5}
  rows = []
  for name, top in (tops | folded).items():
    method = METHODS[name]
    rate = 16.0 if method.rates is None else method.rates[0]
    rows += [
      as_row(controls.Job(setting, name, rate, trial, 1000, "validation"), top1="50")
      for trial in method.trials
    ]
    # Of later seeds nothing is asked, however far they lie.
    rows += [
      as_row(
        controls.Job(setting, name, rate, method.trials[0], seed, "test"),
        top1=str(top if seed < 3 else 0.0),
      )
      for seed in range(4)
    ]
  methods = ",".join(tops | folded)
  call = arguments(**shared, methods=methods, close_seeds=5)
  seeds = {}
  for job in controls.jobs(call, rows):
    seeds.setdefault(job.method, []).append(job.seed)
  more = {name for name, trained in seeds.items() if trained == [0, 1, 2, 3, 4]}
  assert more == {"dense", "learned", "random", "hashed", "learned_folded"}
  assert seeds["tile"] == [0, 1, 2]


@pytest.mark.slow
def test_jobs_are_distinct_and_a_row_is_known_again(validation):
  keys = [control_rows.key(as_row(job), with_trial=True) for job in validation]
  assert len(set(keys)) == len(keys)
  first = validation[0]
  again = as_row(first, rate=f"{float(first.rate)}", seed=first.seed)
  assert control_rows.key(again, with_trial=True) == keys[0]


def test_at_the_brief_rates_only_the_methods_run_that_the_question_is_about():
  options = arguments(backbones="mbconv", split="test", seeds=1)
  setting, _ = control_suites.settings("2d", "small")
  rows = [
    as_row(controls.Job(setting, name, 16.0, trial, 1000, "validation"), top1="50")
    for name, method in METHODS.items()
    for trial in method.trials
  ]
  methods = {}
  for job in controls.jobs(options, rows):
    methods.setdefault(job.rate, set()).add(job.method)
  key = {"width", "tile", "tile_uneven", "random_uneven", "wsnet", "learned"}
  assert methods[2.0] == key
  assert methods[4.0] == key | {"int8"}
  assert methods[8.0] == {n for n, m in METHODS.items() if m.rates is None}
  assert methods[1.0] == {"dense"}


def test_of_several_folds_the_first_one_sees_every_method():
  first, *others = [
    setting
    for setting in control_suites.settings("1d", "small")
    if "fold" in setting.dataset
  ]
  assert others
  key = {"width", "tile", "tile_uneven", "random_uneven", "wsnet", "learned"}
  for setting in (first, *others):
    for rank, rate in enumerate(setting.rates):
      rates = dict(methods_at(setting.rates, setting.brief, rank))
      if setting is first and not rank:
        assert set(rates) == set(METHODS)
      else:
        assert set(rates) == (key if rank else key | {"dense"})
      assert all(at == rate for name, at in rates.items() if name in key)


def test_a_rate_that_is_none_of_the_settings_is_told():
  with pytest.raises(UserError, match="--rates has 7; there are 2, 4, 8, 16"):
    list(controls.jobs(arguments(rates=[7.0]), []))


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_dense_stores_every_weight_and_what_folds_saves_a_quarter(name):
  setting = SETTINGS[name]
  inventory = inventory_of(setting.dense)
  assert stored(setting.dense) == inventory.size
  if name.startswith("quick") or len(setting.dense.data.input_shape) == 2:
    return
  method = METHODS["learned_folded"]
  config = method.configure(setting.dense, *method.rates, **method.trials[0])
  price = prices(config, config.planner.plan(inventory), inventory)
  assert 0.6 * price["dense_madds"] < price["madds"] <= 0.75 * price["dense_madds"]


@pytest.mark.slow
def test_every_trial_of_the_recommended_form_can_be_stored_at_every_rate():
  # The learning rate stores nothing.
  trials = {trial["block"]: trial for trial in METHODS["learned"].trials}
  for setting in SETTINGS.values():
    for rate in setting.rates:
      for trial in trials.values():
        config = METHODS["learned"].configure(setting.dense, rate, **trial)
        assert stored(config) == pytest.approx(target(setting.dense, rate), rel=0.01)


@pytest.mark.parametrize("what", ["methods", "backbones", "datasets"])
def test_an_unknown_name_is_told(what):
  with pytest.raises(UserError, match="'tiel'"):
    list(controls.jobs(arguments(**{what: "tiel"}), []))


def test_a_call_can_be_for_one_data_set():
  options = arguments(suite="1d", datasets="plaid", methods="tile")
  assert {job.setting.dataset for job in controls.jobs(options, [])} == {"plaid"}


@pytest.mark.slow
def test_a_run_is_appended_and_skipped_the_next_time(tmp_path, monkeypatch, capsys):
  output = tmp_path / "controls.csv"
  command = ["controls", "--suite=2d", "--size=quick", "--methods=dense", "--seeds=1"]
  command += [f"--output={output}", f"--workdir={tmp_path}", "--workers=1"]
  monkeypatch.setattr(sys, "argv", command)
  controls.main()
  [row] = control_rows.read(output)
  assert row["method"] == "dense"
  assert 0.0 <= float(row["top1"]) <= 100.0
  assert int(row["stored_params"]) > 1000
  assert list(row) == list(control_rows.COLUMNS)
  controls.main()
  assert control_rows.read(output) == [row]
  assert not list(itertools.chain(*(p.iterdir() for p in tmp_path.glob("2d-*"))))


def test_a_call_without_time_runs_nothing_and_says_how_much_is_left(
  tmp_path, monkeypatch, capsys
):
  output = tmp_path / "controls.csv"
  command = ["controls", "--suite=2d", "--size=quick", "--minutes=0", "--seeds=1"]
  monkeypatch.setattr(sys, "argv", [*command, f"--output={output}"])
  controls.main()
  assert not output.exists()
  assert f"{len(METHODS)} runs to go" in capsys.readouterr().out
