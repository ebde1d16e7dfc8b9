"""The figures of README.md and docs/ are those of benchmarks/results and the code."""

import functools
import re

import numpy as np
import pytest

import neural_epitome as ne
from benchmarks import common
from benchmarks.compress import collaborative, crepe_table, fitting, onnx_table
from benchmarks.controls import accuracy_table, digest, report, tables, targets
from benchmarks.controls import rows as control_rows
from benchmarks.inference import report as inference
from benchmarks.inference import windows_files
from benchmarks.quality import table as quality_table
from benchmarks.search import nse_quick, tables_page, transform_page
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
  "crepe": [lambda: crepe_table.table(common.read("crepe"))],
  **{
    name: [lambda network=network: onnx_table.table(common.read("onnx_files"), network)]
    for name, network in onnx_table.TABLES.items()
  },
  "onnx_rivals": [lambda: onnx_table.rivals(common.read("onnx_rivals"))],
  "cifar100": [lambda: quality_table.tables(common.read("quality"))["cifar100"]],
  "cifar100_remeasured": [
    lambda: quality_table.tables(common.read("quality"))["cifar100_remeasured"]
  ],
  "digest": [lambda: digest.digest(controls())],
  "missing": [lambda: digest.not_run(controls())],
  "nse_quick": [lambda: nse_quick.table(common.read(nse_quick.NAME))],
  "routing": [study],
  "targets": [
    lambda: targets.table(controls()),
    lambda: inference.targets(cases()),
  ],
  "inference": [lambda: inference.digest(cases())],
  windows_files.NAME: [lambda: windows_files.table(common.read(windows_files.NAME))],
  "narrow": [lambda: inference.times(cases(), "narrow")],
  "wide": [lambda: inference.times(cases(), "wide")],
  "fitting": [lambda: fitting.table(common.read("fitting"))],
  collaborative.NAME: [lambda: collaborative.table(common.read(collaborative.NAME))],
  "supernets": [lambda: search.supernets(searches("embedded"))],
  "searches": [lambda: search.searches(searches("embedded"))],
  "bypass": [lambda: search.bypass(searches("embedded"))],
  "harder": [lambda: search.harder(searches(search.HARDER))],
  "costs": [lambda: search.costs(searches("embedded"))],
  "latency": [lambda: search.at_latency(searches("embedded"))],
} | {
  name: [lambda name=name: search.compare(searches("embedded"), name)]
  for name in search.COMPARISONS
}
WRITTEN |= {
  name: [lambda name=name: tables_page.parts(common.read("strategies"))[name]]
  for name in ("regret", "tested_regret", "ahead", "as_many")
}
WRITTEN |= {
  name: [lambda name=name: transform_page.parts(common.read("transform"))[name]]
  for name in ("transform_gains", "transform_ablations", "transform_prices")
}


def experiment_rows(text):
  """Rows of tables that begin with the name of a shipped experiment."""
  known = shipped()
  for cells in pages.table_rows(text):
    match = _EXPERIMENT.match(cells[0])
    if match and match[1] in known:
      yield match[1], cells


@pytest.mark.slow
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
  prices = summary.prices(
    ne.config.override(config, "execution", "fold"), plan, inventory
  )
  return (
    {f"{prices[key]:,}" for key in ("stored_params", "dense_params")},
    {f"{prices[key] / 1e6:,.1f}M" for key in ("madds", "dense_madds")},
  )


@functools.cache
def accuracies(name):
  """mean ± standard deviation of the experiment in each table of accuracies."""
  texts = set()
  for file in sorted(common.RESULTS.glob("accuracy_*.csv")):
    rows = common.read(file.stem)
    tops = [
      float(row["top1_percent"])
      for row in rows
      if row["experiment"] == name and row["seed"].isdigit()
    ]
    if len(tops) > 1:
      texts.add(f"{np.mean(tops):.1f} ± {np.std(tops, ddof=1):.1f}")
  return texts


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
  text = " ".join(cells[1:])
  assert set(re.findall(r"\b\d{1,3}(?:,\d{3})+\b", text)) <= parameters
  assert set(re.findall(r"\b[\d.]+M\b", text)) <= madds
  assert set(re.findall(r"[\d.]+ ± [\d.]+", text)) <= accuracies(name)


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


def test_what_the_readme_says_of_crepe_is_what_the_rows_say():
  text = " ".join(pages.read("README.md").split())
  sentence = text.partition("CREPE, a network of pitches,")[2].partition(":")[0]
  tiny = {
    (row["method"], row["setting"]): row
    for row in common.read("crepe")
    if row["network"] == "tiny"
  }
  rows = {key: float(row["right_percent"]) for key, row in tiny.items()}
  values = (
    rows["best", "30x"],
    rows["best, distilled", "30x"],
    rows["dense", "float32"],
    rows["nnc", "qp -2"],
  )
  assert re.findall(r"\d+\.\d", sentence) == [f"{value:.1f}" for value in values]
  [seconds] = re.findall(r"(\d+) seconds of distillation", sentence)
  assert float(tiny["best, distilled", "30x"]["seconds"]) <= float(seconds)
