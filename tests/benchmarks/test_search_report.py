"""The tables of searches, from rows that the test makes."""

from benchmarks.search import report


def row(strategy, seed, dataset="embedded", **columns):
  blank = dict.fromkeys(
    ["seconds", "evaluations", "top1", "latency_ms", "madds", "stored_bytes"], ""
  )
  run = {"dataset": dataset, "strategy": strategy, "seed": str(seed)}
  return blank | run | {name: str(value) for name, value in columns.items()}


def test_differences_are_between_rows_of_one_seed():
  rows = report.Rows(
    [
      row("width", 0, top1=80.0),
      row("width", 1, top1=90.0),
      row("netadaptv2_from_scratch", 0, top1=82.0),
      row("netadaptv2_from_scratch", 1, top1=91.0),
      row("netadaptv2_from_scratch", 2, top1=10.0),
      row("netadaptv2_from_scratch", 0, dataset="other", top1=0.0),
    ],
    "embedded",
  )
  assert rows.ahead("netadaptv2_from_scratch", "width") == "+1.50 ± 0.71 (2)"
  assert rows.text("netadaptv2_from_scratch", "top1").endswith("(3)")
  lines = report.compare(rows, "madds").splitlines()
  assert len(lines) == 4
  assert "+1.50 ± 0.71 (2)" in lines[3]


def test_only_what_ran_has_a_line():
  nothing = report.Rows([], "embedded")
  for table in (report.bypass, report.harder, report.at_latency):
    assert table(nothing) == report.NOT_RUN
  rows = report.Rows(
    [
      row("latency_0.5", 0, top1=80.0, evaluations=70, latency_ms=1.5),
      row("latency_0.5_without_bypass", 0, top1=79.0, evaluations=60, latency_ms=1.6),
    ],
    "embedded",
  )
  lines = report.bypass(rows).splitlines()
  assert len(lines) == 4
  assert "any block may be left out" in lines[2]
  assert "70 (1)" in lines[2]
  assert "none may be left out" in lines[3]
  assert report.bypass(rows) in report.harder(rows)
  assert report.at_latency(rows) == report.NOT_RUN


def test_every_share_that_was_searched_to_has_its_comparison():
  rows = [
    row(f"latency_{share}{name}", 0, top1=top1, latency_ms=1.0)
    for share in ("0.4", "0.5")
    for name, top1 in (("", 50.0), ("_width", 80.0), ("_from_supernet", 82.0))
  ]
  tables = report.at_latency(report.Rows(rows, "embedded"))
  assert tables.index("0.5 of the latency") < tables.index("0.4 of the latency")
  assert tables.count("+2.00 (1)") == 2


def test_a_search_in_rounds_stands_with_the_others_where_it_ran():
  rows = [row("netadaptv2", 0, top1=88.0)]
  assert "rounds" not in report.searches(report.Rows(rows, "embedded"))
  rows.append(row("subset_evolution", 0, top1=87.0, seconds=200, evaluations=80))
  assert "rounds" in report.searches(report.Rows(rows, "embedded"))
