"""The sections of the page of a run, as HTML."""

import html
import json
import pathlib
from collections.abc import Mapping

from neural_epitome import codec
from neural_epitome.cost import plan_table
from neural_epitome.report import classes, glossary, markup, pictures, sentences, tables
from neural_epitome.report.record import Run

STYLE = f"""
.maps {{ display: grid; gap: .5rem 1rem; align-items: start;
         grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr)); }}
.maps details[open] {{ grid-column: 1 / -1; }}
.maps summary {{ list-style: none; font-size: .8rem; line-height: 1.2; }}
.maps img {{ width: 100%; }}
.maps summary::-webkit-details-marker {{ display: none; }}
.maps details[open] img {{ width: auto; }}
.curves {{ display: grid; gap: .5rem;
           grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }}
{classes.STYLE}{pictures.STYLE}"""


def every(
  run: Run, curves: Mapping[str, pathlib.Path], maps: Mapping[str, pathlib.Path]
) -> list[str]:
  """All sections, in the order of the page.

  Args:
    run: what the page is about.
    curves: pictures of the training curves, by what they show.
    maps: pictures of the routing maps by layer, in the order of the forward pass.
  """
  return [
    *_result(run),
    *_classes(run),
    *_examples(run),
    *_training(run, curves),
    *_plan(run),
    *_maps(maps),
    *_next(run),
    *_made_with(run),
  ]


def _result(run: Run) -> list[str]:
  report = run.report
  rows = tables.result_rows(report)
  shown = [row[0] for row in rows] + tables.RESULT_HEADERS
  top1 = report["top1_ema"] if report["top1_ema"] is not None else report["top1"]
  kind = "top-1" + (", EMA weights" if report["top1_ema"] is not None else "")
  executed = min(report["madds"], report.get("folded_madds", report["madds"]))
  folded = " if folded" if executed < report["madds"] else ""
  tiles = [
    (f"{top1:.1%}", kind),
    (
      _short(report["stored_params"]),
      f"stored parameters, of {_short(report['dense_params'])}",
    ),
    (
      f"{_short(report['stored_bytes'])}B",
      f"stored, of {_short(4 * report['dense_params'])}B",
    ),
    (_short(executed), f"MAdds{folded}, of {_short(report['dense_madds'])}"),
  ]
  boxes = [f"<div><b>{value}</b><span>{words}</span></div>" for value, words in tiles]
  return [
    f'<div class="tiles">{"".join(boxes)}</div>',
    "<h2>Result</h2>",
    markup.table(tables.RESULT_HEADERS, rows, "result"),
    markup.glossary(glossary.of(glossary.RESULT, shown)),
  ]


def _classes(run: Run) -> list[str]:
  evaluation = run.evaluation
  count = len(evaluation["classes"])
  weights = "the averaged (EMA)" if evaluation["weights"] == "ema" else "the trained"
  about = (
    f"{evaluation['examples']:,} examples of {count:,} classes, split "
    f"{run.config.data.evaluation_split}, with {weights} weights."
  )
  return [
    "<h2>Classes</h2>",
    f"<p>{html.escape(about)}</p>",
    *classes.parts(evaluation),
    markup.glossary(
      {
        word: meaning
        for word, meaning in glossary.CLASSES.items()
        if evaluation["confusion"] is not None or word != "confusion matrix"
      }
    ),
  ]


def _examples(run: Run) -> list[str]:
  wrong = [e for e in run.examples if e.predicted != e.label]
  right = [e for e in run.examples if e.predicted == e.label]
  parts = []
  for title, examples in (("Taken for another class", wrong), ("Recognised", right)):
    if examples:
      parts += [f"<h3>{title}</h3>", pictures.gallery(examples)]
  if parts:
    about = "<p>The first of every class in turn, as the network sees them.</p>"
    parts = ["<h2>Examples</h2>", about, *parts]
  return parts


def _training(run: Run, curves: Mapping[str, pathlib.Path]) -> list[str]:
  shown = [
    markup.picture(file.read_bytes(), "png", f"{name} by step")
    for name, file in curves.items()
  ]
  return [
    "<h2>Training</h2>",
    f'<div class="curves">{"".join(shown)}</div>',
    f"<p>{html.escape(sentences.about_training(run.lines))}</p>",
    markup.glossary(glossary.TRAINING),
  ]


def _plan(run: Run) -> list[str]:
  rows = plan_table.plan_rows(run.plan, run.inventory)
  paragraphs = [
    sentences.about_plan(run.config, run.plan, run.inventory),
    sentences.about_rest(run.config, run.plan, run.inventory),
  ]
  content = markup.table(plan_table.PLAN_HEADERS, rows, "plan")
  return [
    "<h2>Plan</h2>",
    *(f"<p>{html.escape(sentence)}</p>" for sentence in paragraphs if sentence),
    markup.details(f"What is stored for every kernel, {len(rows)} rows", content),
    markup.glossary(glossary.PLAN),
  ]


def _maps(maps: Mapping[str, pathlib.Path]) -> list[str]:
  if not maps:
    return []
  shown = []
  for layer, file in maps.items():
    picture = markup.picture(file.read_bytes(), "png", f"routing map of {layer}")
    name = f'<div class="pale">{html.escape(layer)}</div>'
    shown.append(f"<details><summary>{name}{picture}</summary></details>")
  return [
    "<h2>Routing maps</h2>",
    "<p>Each epitome has a colour for every pair of channels. The kernel beside it "
    "is painted by the sampling that generates it, so it shows which part of the "
    "epitome each of its channels reads; lines are the borders of replicas, and a "
    "circle in the epitome is where one of them starts. A click opens a picture in "
    "full size.</p>",
    markup.details(
      f"{len(maps)} maps, in the order of the layers",
      f'<div class="maps">{"".join(shown)}</div>',
    ),
  ]


def _next(run: Run) -> list[str]:
  if not run.next_commands:
    return []
  purposes = {
    "evaluate": "Evaluate it again, or on other data with --dataset or --config.data:",
    "predict": "Name what a file shows:",
    "export": "Export it, --format=compact,c,stablehlo,onnx,litert:",
  }
  parts = ["<h2>What to do with it</h2>"]
  for mode, line in run.next_commands.items():
    parts += [f"<p>{purposes[mode]}</p>", markup.command(line)]
  return parts


def _made_with(run: Run) -> list[str]:
  environment = dict(run.environment)
  line = environment.pop("command", None)
  config = html.escape(json.dumps(codec.encode(run.config), indent=2))
  if line is None:
    how = "<p>Started from Python, with the configuration below.</p>"
  else:
    how = markup.command(line)
  return [
    "<h2>How it was made</h2>",
    how,
    markup.table(["", ""], list(environment.items()), "words"),
    markup.details("The whole configuration, config.json", f"<pre>{config}</pre>"),
  ]


def _short(count: float) -> str:
  """A count in three digits: 1.17M."""
  for unit in ("", "k", "M", "G"):
    if count < 999.5 or unit == "G":
      return f"{count:.3g}{unit}"
    count /= 1000
  raise AssertionError
