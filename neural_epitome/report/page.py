"""The report folder of a run: report.json, pictures, and one page that shows them."""

import base64
import html
import json
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from neural_epitome import codec
from neural_epitome.config import Config
from neural_epitome.cost import plan_table
from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome.plan import Plan
from neural_epitome.report import figures, routing_maps, tables

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2733; margin: 2rem auto;
       max-width: 70rem; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2rem; }
p.about { color: #5a6875; margin-top: .2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .8rem; border-bottom: 1px solid #e3e8ee; text-align: right; }
th:first-child, td:first-child { text-align: left; }
table.plan td:nth-child(-n+3), table.plan th:nth-child(-n+3) { text-align: left; }
img { max-width: 100%; } pre { background: #f5f7f9; padding: 1rem; overflow: auto; }
"""


def path(directory: pathlib.Path) -> pathlib.Path:
  """The page inside a report directory."""
  return directory / "index.html"


def write(
  directory: pathlib.Path,
  report: Mapping[str, Any],
  *,
  config: Config,
  plan: Plan,
  inventory: Inventory,
  lines: Sequence[Mapping[str, Any]],
  routing: Any,
) -> None:
  """Writes the report directory, report.json last.

  Args:
    directory: made where it is not; files of the same names are replaced.
    report: of `summary.make`.
    config: the experiment.
    plan: of its network.
    inventory: of its architecture.
    lines: of metrics.jsonl.
    routing: the `routing` collection, on the host.
  """
  directory.mkdir(parents=True, exist_ok=True)
  curves = directory / "curves.png"
  figures.curves(lines, curves)
  pictures = _draw_routing(directory / "routing", plan, routing)
  text = _page(report, config, plan, inventory, lines, curves, pictures)
  path(directory).write_text(text)
  (directory / "report.json").write_text(json.dumps(report, indent=2) + "\n")


def _draw_routing(
  directory: pathlib.Path, plan: Plan, routing: Any
) -> dict[str, pathlib.Path]:
  pictures = {}
  for layer, offsets in routing_maps.layers(routing).items():
    kernel = plan.kernels[f"{layer}/kernel"]
    # Offsets of other generators do not say how channels are read.
    if (epitome_shape := getattr(kernel.generator, "shape", None)) is None:
      continue
    pictures[layer] = directory / (layer.replace("/", ".") + ".png")
    figures.routing_map(layer, offsets, kernel.shape, epitome_shape, pictures[layer])
  return pictures


def _page(
  report: Mapping[str, Any],
  config: Config,
  plan: Plan,
  inventory: Inventory,
  lines: Sequence[Mapping[str, Any]],
  curves: pathlib.Path,
  pictures: Mapping[str, pathlib.Path],
) -> str:
  parts = [
    "<h2>Result</h2>",
    table(tables.RESULT_HEADERS, tables.result_rows(report)),
    "<h2>Training</h2>",
    image(curves, "loss, top-1, learning rate and images a second by step"),
    f"<p>{html.escape(speed(lines))}</p>",
    "<h2>Plan</h2>",
    table(plan_table.PLAN_HEADERS, plan_table.plan_rows(plan, inventory), "plan"),
  ]
  if pictures:
    parts += [
      "<h2>Routing maps</h2>",
      "<p>Each epitome has a colour for every pair of channels. The kernel beside it "
      "is painted by the sampling that generates it, so it shows which part of the "
      "epitome each of its channels reads; lines are the borders of replicas.</p>",
    ]
    parts += [
      image(file, f"routing map of {layer}") for layer, file in pictures.items()
    ]
  text = html.escape(json.dumps(codec.encode(config), indent=2))
  parts += [
    "<h2>Configuration</h2>",
    f"<details><summary>config.json</summary><pre>{text}</pre></details>",
  ]
  return document(
    f"{report['experiment']} on {report['dataset']}",
    f"seed {report['seed']}, {report['steps']:,} steps",
    parts,
  )


def speed(lines: Sequence[Mapping[str, Any]]) -> str:
  """A sentence about how fast training went, from the lines of metrics.jsonl."""

  def median(name: str) -> float | None:
    values = [line[name] for line in lines if line.get(name) is not None]
    return statistics.median(values) if values else None

  rate, alone = median("images_per_second"), median("images_per_second_per_device")
  if rate is None:
    return "Too few steps to say how fast they were."
  parts = [f"{rate:,.0f} images a second, {alone:,.0f} on each device"]
  parts.append(f"{median('input_wait'):.1%} of the time waiting for input")
  if (share := median("flops_utilisation")) is not None:
    parts.append(f"{share:.1%} of the devices' peak used")
  return f"Median of the intervals that were logged: {', '.join(parts)}."


def document(title: str, about: str, parts: Sequence[str]) -> str:
  """A whole page: title and a line about it as text, the parts as HTML."""
  title = html.escape(title)
  start = [
    "<!doctype html>",
    '<html lang="en"><head><meta charset="utf-8">',
    f"<title>{title}</title><style>{STYLE}</style></head><body>",
    f'<h1>{title}</h1><p class="about">{html.escape(about)}</p>',
  ]
  return "\n".join([*start, *parts, "</body></html>"]) + "\n"


def table(headers: list[str], rows: tables.Rows, kind: str = "") -> str:
  """A table of text cells, of a style class, as HTML."""

  def row(cells: list[str], tag: str) -> str:
    inner = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
    return f"<tr>{inner}</tr>"

  body = "\n".join(row(cells, "td") for cells in rows)
  return f'<table class="{kind}">\n{row(headers, "th")}\n{body}\n</table>'


def image(file: pathlib.Path, alt: str) -> str:
  """A PNG inside the page: nothing beside it is needed to show it."""
  data = base64.b64encode(file.read_bytes()).decode()
  return f'<p><img alt="{html.escape(alt)}" src="data:image/png;base64,{data}"></p>'
