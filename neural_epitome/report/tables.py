"""Aligned tables for a terminal, and the same rows for the page."""

from collections.abc import Mapping
from typing import Any

from tabulate import tabulate

from neural_epitome.report import deployment

Rows = list[list[str]]

RESULT_HEADERS = ["", "this network", "dense", "ratio"]


def price_rows(price: Mapping[str, Any]) -> Rows:
  """Rows on what the network stores and computes, beside those of the dense one.

  Multiply-adds of the folded network have a row of their own where they are fewer.
  """
  stored, dense = price["stored_params"], price["dense_params"]
  madds, dense_madds = price["madds"], price["dense_madds"]
  size, dense_size = price["stored_bytes"], 4 * dense
  # Reports of older runs do not say it.
  folded, fold = price.get("folded_madds", madds), []
  if folded < madds:
    label = "MAdds with --config.execution=fold"
    fold = [[label, f"{folded:,}", f"{dense_madds:,}", _ratio(folded, dense_madds)]]
  return [
    ["stored parameters", f"{stored:,}", f"{dense:,}", _ratio(stored, dense)],
    ["expanded parameters", f"{price['expanded_params']:,}", f"{dense:,}", ""],
    ["stored bytes", f"{size:,}", f"{dense_size:,}", _ratio(size, dense_size)],
    ["MAdds", f"{madds:,}", f"{dense_madds:,}", _ratio(madds, dense_madds)],
    *fold,
    ["adds for wrapping", f"{price['adds']:,}", "0", ""],
  ]


def price_table(price: Mapping[str, Any]) -> str:
  """`summary.prices` as a table."""
  return _compared(price_rows(price))


def result_rows(report: Mapping[str, Any]) -> Rows:
  """Rows on how a run ended, beside the dense network; top-1 in percent."""
  rows = [["top-1", _percent(report["top1"]), "", ""]]
  if report["top1_ema"] is not None:
    rows.append(["top-1, EMA weights", _percent(report["top1_ema"]), "", ""])
  seconds = ["training seconds", f"{report['seconds']:,.1f}", "", ""]
  bad = [
    [f"{split} examples left out", f"{report[name]:,}", "", ""]
    for split in ("train", "evaluation")
    if (name := f"bad_{split}_examples") in report
  ]
  return [*rows, *price_rows(report), seconds, *bad]


def result_table(report: Mapping[str, Any]) -> str:
  """The rows of `result_rows` as a table for a terminal."""
  return _compared(result_rows(report))


def export_table(exported: Mapping[str, Any]) -> str:
  """The result of `export.job.export` as tables: use, files, ways to run it."""
  network = exported["network"]
  files = [
    [file["file"], f"{file['bytes']:,}", f"{file['largest_difference']:.1e}"]
    for file in exported["files"]
  ]
  runtimes = list(
    dict.fromkeys(r for mode in exported["modes"].values() for r in mode["median_ms"])
  )
  modes = [
    [
      *(name, f"{mode['madds']:,}"),
      *(f"{ms[r]:.2f}" if r in (ms := mode["median_ms"]) else "" for r in runtimes),
    ]
    for name, mode in exported["modes"].items()
  ]
  right = ("left", "right", "right")
  parts = [
    deployment.about(exported["record"]),
    tabulate(
      files,
      ["file", "bytes", "largest difference"],
      colalign=right,
      disable_numparse=True,
    ),
    f"{network['stored_params']:,} numbers stored in {network['stored_bytes']:,} bytes "
    f"for {network['expanded_params']:,} parameters",
    tabulate(
      modes,
      ["run as", "MAdds", *(f"{runtime}, ms" for runtime in runtimes)],
      colalign=("left", "right", *("right" for _ in runtimes)),
      disable_numparse=True,
    ),
  ]
  return "\n\n".join(parts)


def _compared(rows: Rows) -> str:
  align = ("left", "right", "right", "right")
  return tabulate(rows, RESULT_HEADERS, colalign=align, disable_numparse=True)


def _percent(share: float) -> str:
  return f"{100 * share:.2f}%"


def _ratio(value: float, reference: float) -> str:
  return f"{value / reference:.3f}"
