"""Tables of truth, and the rows that strategies get on them."""

import sys

import numpy as np
import pytest

from benchmarks import common
from benchmarks.search import regret, tables, tables_figure, tables_page
from benchmarks.search.truth import TRUTHS, graphs, landscapes
from neural_epitome.errors import UserError
from neural_epitome.report.comparison import MINUS
from neural_epitome.strategies import RandomSearch, Strategy


def test_a_landscape_without_neighbours_is_a_sum_over_genes():
  table = landscapes.landscape(0)
  fitness = table.measured["fitness"]
  design = np.eye(landscapes.OPTIONS)[table.encodings].reshape(len(fitness), -1)
  residual = fitness - design @ np.linalg.lstsq(design, fitness)[0]
  assert np.max(np.abs(residual)) < 1e-12


@pytest.mark.parametrize("neighbours", [1, 2, 4])
def test_a_gene_of_a_landscape_is_read_by_itself_and_so_many_before_it(neighbours):
  """Changing it moves as many contributions: exactly those that read it."""
  table = landscapes.landscape(neighbours)
  fitness = table.measured["fitness"].reshape((landscapes.OPTIONS,) * landscapes.GENES)
  change = np.diff(fitness, axis=0)
  depends = [np.ptp(change, axis=gene).max() > 1e-9 for gene in range(1, 6)]
  distance = [min(gene, landscapes.GENES - gene) for gene in range(1, 6)]
  assert depends == [near <= neighbours for near in distance]


def test_the_interval_covers_the_mean_of_what_is_drawn_as_often_as_it_says():
  random = np.random.default_rng(1)
  values = random.exponential(size=(60, 400))
  mean, low, high = regret.interval(values)
  np.testing.assert_allclose(mean, values.mean(axis=0))
  assert 0.88 < np.mean((low < 1.0) & (high > 1.0)) < 0.98


def test_every_registered_strategy_takes_part_behind_its_control():
  chosen = tables.strategies()
  assert next(iter(chosen)) == tables.CONTROL
  kinds = {strategy.kind for strategy in chosen.values()}
  assert kinds == set(Strategy.arms()) - {"given", "nat"}


@pytest.fixture(scope="module")
def rows():
  chosen = {"random": RandomSearch(evaluations=40), "few": RandomSearch(evaluations=4)}
  return [
    {name: str(value) for name, value in row.items()}
    for of_strategy in tables.rows(TRUTHS["nk_1"](), chosen, seeds=4)
    for row in of_strategy
  ]


def test_the_control_is_ahead_of_itself_by_nothing(rows):
  for row in rows:
    low, mean, high = (float(row[f"ahead{end}"]) for end in ("_low", "", "_high"))
    assert low <= mean <= high
    assert row["strategy"] == "few" or low == high == 0
  assert float(rows[-1]["ahead"]) < 0


def test_tables_and_figure_show_all_strategies(rows, tmp_path):
  parts = tables_page.parts(rows)
  assert "random search" in parts["regret"]
  assert "few" in parts["ahead"]
  assert "random search" not in parts["ahead"]
  # It asked four; the next row is that of five.
  [row] = [r for r in rows if (r["strategy"], r["questions"]) == ("few", "5")]
  mean = f"{100 * float(row['ahead']):+.2f}".replace("-", MINUS)
  [line] = [one for one in parts["as_many"].splitlines() if one.startswith("| few")]
  assert f" {mean} [" in line
  path = tables_figure.draw(
    rows, tables_page.ranked(rows), tables_page.NAMES, tmp_path / "curves.png"
  )
  assert path.stat().st_size > 10_000


def test_strategies_are_in_the_order_of_their_ranks():
  behind = {"a": (3.0, 0.1), "b": (1.0, 0.2), "c": (2.0, 0.3)}
  rows = [
    {"strategy": name, "table": table, "questions": "200", "regret": str(own)}
    for name, both in behind.items()
    for table, own in zip(("one", "two"), both, strict=True)
  ]
  assert tables_page.ranked(rows) == ["b", "a", "c"]


def test_an_unknown_table_is_told_with_the_nearest():
  with pytest.raises(UserError, match="Did you mean nk_1"):
    tables.measure(["nk1"], {}, 1)


@pytest.mark.parametrize("kind", ["netadapt", "random"])
def test_one_strategy_is_judged_without_a_trace_of_it(monkeypatch, capsys, kind):
  arguments = ["--tables=nk_1", "--seeds=2", f'--strategy={{"kind": "{kind}"}}']
  monkeypatch.setattr(sys, "argv", ["tables", *arguments])
  monkeypatch.setattr(tables.common, "write", None)
  tables.main()
  lines = capsys.readouterr().out.splitlines()
  assert [line.split(":")[0] for line in lines] == [
    "nk_1, random",
    f"nk_1, named {kind}",
  ]


def test_fewer_seeds_of_one_strategy_leave_the_controls_rows_alone(
  monkeypatch, tmp_path
):
  monkeypatch.setattr(common, "RESULTS", tmp_path / "benchmarks" / "results")
  common.RESULTS.parent.mkdir()
  monkeypatch.setattr(tables_page, "write", len)
  for arm, seeds in (("genetic", 3), ("hurricane", 2), ("genetic", 1)):
    arguments = ["--tables=nk_1", f"--arms={arm}", f"--seeds={seeds}"]
    monkeypatch.setattr(sys, "argv", ["tables", *arguments])
    tables.main()
  known = {(row["strategy"], row["seeds"]) for row in common.read("strategies")}
  assert known == {("random", "3"), ("hurricane", "2"), ("genetic", "1")}


@pytest.mark.slow
def test_the_rows_of_the_results_are_what_this_code_measures():
  """Of strategies that draw by NumPy alone; a changed one must be measured again."""
  known = {
    (row["strategy"], row["questions"]): row["regret"]
    for row in common.read("strategies")
    if row["table"] == "nk_1"
  }
  chosen = tables.strategies()
  few = {name: chosen[name] for name in ("random", "netadapt", "subset_evolution")}
  for of_strategy in tables.rows(TRUTHS["nk_1"](), few, seeds=100):
    for row in of_strategy:
      assert row["regret"] == known[row["strategy"], str(row["questions"])]


@pytest.mark.slow
def test_graph_networks_are_the_authors_and_each_is_one_choice():
  package = pytest.importorskip("nas_bench_graph")
  space = TRUTHS["cora"]().judge.space
  assert len({*space.table.rows.values()}) == 26206
  known = package.light_read("cora")
  for arch in space.sample(0, count=50):
    graph, *chosen = arch.options
    names = [package.gnn_list[index] for index in chosen]
    theirs = known[package.Arch(package.link_list[graph], names).valid_hash()]
    measured = space.measured(arch)
    for ours, name in graphs.MEASURED.items():
      assert measured[ours] == float(theirs[name])
    assert space.canonical(arch) == arch
