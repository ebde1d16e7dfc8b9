"""The table of the README and of results: python -m benchmarks.controls.accuracy_table.

Accuracies are those of results/accuracy_embedded.csv; what a network stores and
computes is what the code says today.
"""

import argparse
import dataclasses
import sys
from collections.abc import Mapping, Sequence

import neural_epitome as ne
from benchmarks import common, pages
from neural_epitome.errors import UserError
from neural_epitome.report import summary
from neural_epitome.training import setup

PAGES = (pages.ROOT / "README.md", pages.DOCS / "index.md")
WHAT = {
  "mbv2_dense": "MobileNetV2, every kernel stored",
  "mbv2_width": "fewer channels, stored size of the next two",
  "mbv2_tile": "epitomes at rate 2, fixed sampling",
  "mbv2_epitome": "epitomes at rate 2, learned sampling",
  "resnet20_epitome": "ResNet-20, epitomes at rate 3.95, learned sampling",
}


def prices(name: str) -> tuple[int, int, int]:
  """Stored parameters, and multiply-adds of an image: as trained, and folded."""
  config = ne.load_experiment(name)
  inventory, plan = setup.plan(config)
  built, folded = (
    summary.prices(dataclasses.replace(config, execution=how), plan, inventory)
    for how in ("materialise", "fold")
  )
  return built["stored_params"], built["madds"], folded["madds"]


def table(rows: Sequence[Mapping[str, str]]) -> str:
  """Rows of the CSV as a Markdown table, in the order of WHAT."""
  means = {row["experiment"]: row for row in rows if row["seed"] == "mean"}
  body = []
  for name, what in WHAT.items():
    top1, spread = (float(means[name][key]) for key in ("top1_percent", "spread"))
    stored, madds, folded = prices(name)
    operations = f"{madds / 1e6:.1f}M"
    operations += f", folded {folded / 1e6:.1f}M" if folded < madds else ""
    accuracy = f"{top1:.1f} ± {spread:.1f}"
    body.append([f"`{name}`: {what}", accuracy, f"{stored:,}", operations])
  heads = ["experiment", "top-1, %", "stored parameters", "multiply-adds"]
  return pages.markdown(heads, body)


def main() -> None:
  """Writes the table between its markers on both pages."""
  argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
  rows = common.read("accuracy_embedded")
  if not rows:
    raise UserError(
      "results/accuracy_embedded.csv is empty: run python -m "
      "benchmarks.controls.accuracy."
    )
  written = table(rows)
  for page in PAGES:
    pages.write(page, {"accuracy": written})


if __name__ == "__main__":
  try:
    main()
  except UserError as error:
    sys.exit(f"error: {error}")
