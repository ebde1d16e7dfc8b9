"""The figures of README.md and docs/ are those of benchmarks/results and the code."""

import functools
import re

import numpy as np
import pytest

import neural_epitome as ne
from benchmarks import common
from benchmarks.compress import fitting
from benchmarks.controls import accuracy_table, digest, report, tables, targets
from benchmarks.controls import rows as control_rows
from benchmarks.inference import report as inference
from benchmarks.search import report as search
from neural_epitome.experiment import shipped
from neural_epitome.report import summary
from neural_epitome.training import setup
from tests import pages

MARKED = [
  (page, name) for page in pages.PAGES for name in pages.marked(pages.read(page))
]
_EXPERIMENT = re.compile(r"`(\w+)`")


@functools.cache
def controls():
  return report.read(common.RESULTS / "controls.csv")


@functools.cache
def cases():
  return inference.by_case(common.read("inference"))


@functools.cache
def searches(dataset):
  return search.Rows(search.read(common.RESULTS / "search.csv"), dataset)


def study():
  return digest.study(control_rows.read(common.RESULTS / report.STUDY))


# By the name of its markers, what scripts write between them; `targets` stands on two
# pages. That of all controls draws figures too: see below.
WRITTEN = {
  "accuracy": [lambda: accuracy_table.table(common.read("accuracy_embedded"))],
  "digest": [lambda: digest.digest(controls())],
  "missing": [lambda: digest.not_run(controls())],
  "routing": [study],
  "targets": [
    lambda: targets.table(controls()),
    lambda: inference.targets(cases()),
  ],
  "inference": [lambda: inference.digest(cases())],
  "narrow": [lambda: inference.times(cases(), "narrow")],
  "wide": [lambda: inference.times(cases(), "wide")],
  "fitting": [lambda: fitting.table(common.read("fitting"))],
  "supernets": [lambda: search.supernets(searches("embedded"))],
  "searches": [lambda: search.searches(searches("embedded"))],
  "bypass": [lambda: search.bypass(searches("embedded"))],
  "harder": [lambda: search.harder(searches(search.HARDER))],
  "costs": [lambda: search.costs(searches("embedded"))],
  "latency": [lambda: search.at_latency(searches("embedded"))],
} | {
  name: [lambda name=name: search.found(searches("embedded"), name)]
  for name in search.FOUND
}


def experiment_rows(text):
  """Rows of tables that begin with the name of a shipped experiment."""
  known = shipped()
  for cells in pages.table_rows(text):
    match = _EXPERIMENT.match(cells[0])
    if match and match[1] in known:
      yield match[1], cells


@pytest.mark.parametrize(
  ("page", "name"), [pair for pair in MARKED if pair[1] != "controls"]
)
def test_a_marked_table_is_what_its_script_writes_from_the_results(page, name):
  text = pages.marked(pages.read(page))[name]
  if name in WRITTEN:
    assert text in [write() for write in WRITTEN[name]]
  else:
    # No script is known here, so its figures are looked up one by one, below.
    assert list(experiment_rows(text)), f"nothing compares the table {name!r}"


def test_every_table_that_a_script_writes_stands_on_a_page():
  assert {name for _, name in MARKED} >= {*WRITTEN, "controls"}


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page, name in MARKED if name == "controls"])
def test_the_page_of_controls_and_its_figures_are_those_of_the_results(page, tmp_path):
  folder = (tmp_path / page).parent
  written = tables.block(controls(), tmp_path / "benchmarks" / "results", folder)
  assert pages.marked(pages.read(page))["controls"] == written.strip()
  drawn = {file.name for file in (tmp_path / "benchmarks" / "results").iterdir()}
  kept = {file.name for file in common.RESULTS.glob("controls_*.png")}
  assert drawn == kept


@functools.cache
def priced(name):
  """Stored and dense parameters, and multiply-adds as trained and folded."""
  config = ne.load_experiment(name)
  inventory, plan = setup.plan(config)
  found = summary.prices(
    ne.config.override(config, "execution", "fold"), plan, inventory
  )
  return (
    {f"{found[key]:,}" for key in ("stored_params", "dense_params")},
    {f"{found[key] / 1e6:,.1f}M" for key in ("madds", "dense_madds")},
  )


@functools.cache
def accuracies(name):
  """mean ± standard deviation of the experiment in each table of accuracies."""
  found = set()
  for file in sorted(common.RESULTS.glob("accuracy_*.csv")):
    rows = common.read(file.stem)
    tops = [
      float(row["top1_percent"])
      for row in rows
      if row["experiment"] == name and row["seed"].isdigit()
    ]
    if len(tops) > 1:
      found.add(f"{np.mean(tops):.1f} ± {np.std(tops, ddof=1):.1f}")
  return found


EXPERIMENTS = [
  (page, name, cells)
  for page in pages.PAGES
  for name, cells in experiment_rows(pages.read(page))
]


@pytest.mark.parametrize(
  ("page", "name", "cells"), EXPERIMENTS, ids=[f"{p}-{n}" for p, n, _ in EXPERIMENTS]
)
def test_a_row_about_an_experiment_has_the_figures_of_code_and_results(
  page, name, cells
):
  del page
  parameters, madds = priced(name)
  told = " ".join(cells[1:])
  assert set(re.findall(r"\b\d{1,3}(?:,\d{3})+\b", told)) <= parameters
  assert set(re.findall(r"\b[\d.]+M\b", told)) <= madds
  assert set(re.findall(r"[\d.]+ ± [\d.]+", told)) <= accuracies(name)


def test_the_tables_of_accuracies_were_measured_with_the_networks_of_this_code():
  stale = []
  for file in sorted(common.RESULTS.glob("accuracy_*.csv")):
    for row in common.read(file.stem):
      if row["experiment"] in shipped():
        stored = f"{int(row['stored_params']):,}"
        if stored not in priced(row["experiment"])[0]:
          stale.append((file.name, row["experiment"], stored))
  assert not stale


def test_every_page_says_only_links_that_lead_somewhere():
  broken = []
  for page, file in pages.PAGES.items():
    text = re.sub(r"```.*?```|`[^`\n]*`", "", pages.read(page), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
      if not re.match(r"\w+:", target) and not (file.parent / target).exists():
        broken.append(f"{page}: {target}")
  assert not broken
