"""The report folder of a run: report.json, pictures, and one page that shows them."""

import json
import pathlib
from collections.abc import Mapping

from neural_epitome.report import figures, markup, routing_maps, sections
from neural_epitome.report.record import Run

# Inches; two stand side by side on a wide page.
CURVE_WIDTH = 4.2


def path(directory: pathlib.Path) -> pathlib.Path:
  """The page inside a report directory."""
  return directory / "index.html"


def write(directory: pathlib.Path, run: Run) -> None:
  """Writes the report directory, report.json last.

  Args:
    directory: made where it is not; files of the same names are replaced.
    run: what the page is about.
  """
  directory.mkdir(parents=True, exist_ok=True)
  curves = {}
  for name in figures.PANELS:
    curves[name] = directory / "curves" / f"{name.replace(' ', '_')}.png"
    figures.curves(run.lines, curves[name], {name: CURVE_WIDTH})
  maps = _draw_routing(directory / "routing", run)
  path(directory).write_text(_page(run, curves, maps), encoding="utf-8")
  (directory / "report.json").write_text(json.dumps(run.report, indent=2) + "\n")


def _draw_routing(directory: pathlib.Path, run: Run) -> dict[str, pathlib.Path]:
  """Pictures of the routing maps by layer, in the order of the forward pass."""
  maps = routing_maps.layers(run.routing)
  drawn = {}
  for use in run.inventory.kernels:
    layer = use.path.removesuffix("/kernel")
    # Offsets of other generators do not say how channels are read.
    shape = getattr(run.plan.kernels[use.path].generator, "shape", None)
    if layer not in maps or shape is None:
      continue
    drawn[layer] = directory / (layer.replace("/", ".") + ".png")
    figures.routing_map(layer, maps[layer], use.shape, shape, drawn[layer])
  return drawn


def _page(
  run: Run, curves: Mapping[str, pathlib.Path], maps: Mapping[str, pathlib.Path]
) -> str:
  report = run.report
  about = f"seed {report['seed']}, {report['steps']:,} steps, "
  about += f"{report['seconds']:,.0f} seconds"
  parts = sections.every(run, curves, maps)
  title = f"{report['experiment']} on {report['dataset']}"
  return markup.document(title, about, parts, sections.STYLE)
