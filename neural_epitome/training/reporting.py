"""What is said of a run before its first step, and its report after the last."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from neural_epitome.config import Config
from neural_epitome.cost import plan_table
from neural_epitome.report import page, pictures, predictions, sentences
from neural_epitome.report.next_commands import next_commands
from neural_epitome.report.predictions import Predictions
from neural_epitome.report.record import Run
from neural_epitome.runs import directory as directories
from neural_epitome.runs.directory import RunDirectory
from neural_epitome.training import optimizer
from neural_epitome.training.setup import Setup
from neural_epitome.training.state import State

# Of each kind on the page.
WRONG, RIGHT = 12, 12


def introduction(config: Config, setup: Setup, changes: str) -> str:
  """What is printed before training: the data, the plan, and what to know of both.

  Args:
    config: the experiment.
    setup: of the run.
    changes: of `runs.claims.claim`: a sentence on data that have changed, or "".

  Returns:
    Paragraphs and a table, with a blank line between them.
  """
  warmup = optimizer.about_warmup(config.optimizer, config.training.epochs)
  paragraphs = [
    "\n".join(filter(None, [setup.feed.describe(), changes, warmup])),
    sentences.about_plan(config, setup.plan, setup.inventory),
    plan_table.plan_table(setup.plan, setup.inventory),
    sentences.about_rest(config, setup.plan, setup.inventory),
  ]
  return "\n\n".join(filter(None, paragraphs)) + "\n"


def write(
  directory: RunDirectory,
  config: Config,
  setup: Setup,
  state: State,
  *,
  report: Mapping[str, Any],
  predicted: Mapping[str, Predictions],
  lines: Sequence[Mapping[str, Any]],
  environment: Mapping[str, str],
) -> None:
  """Writes the report's files, report.json last; called in process 0 only.

  Args:
    directory: of the run.
    config: the experiment.
    setup: of the run.
    state: its last one.
    report: of `summary.make`.
    predicted: of `evaluation.evaluate_examples`.
    lines: of metrics.jsonl.
    environment: of `environment.describe`.
  """
  # Those that `evaluate` and `predict` take.
  weights = "ema" if "ema" in predicted else "raw"
  shown = predicted[weights]
  evaluation = {
    "weights": weights,
    "step": int(state.step),
    **predictions.summarise(shown, setup.classes),
  }
  path = directory.path
  directories.write(path / directories.EVALUATION, json.dumps(evaluation) + "\n")
  made_with = json.dumps(dict(environment), indent=2) + "\n"
  directories.write(path / directories.ENVIRONMENT, made_with)
  chosen = [
    index
    for right, count in ((False, WRONG), (True, RIGHT))
    for index in predictions.choose(shown, count, right=right)
  ]
  contents = setup.feed.evaluation_inputs(shown.position[chosen].tolist())
  examples = [
    pictures.Example(
      label=setup.classes[shown.label[index]],
      predicted=setup.classes[shown.predicted[index]],
      confidence=float(shown.confidence[index]),
      content=content,
    )
    for index, content in zip(chosen, contents, strict=True)
  ]
  if examples:
    rate = getattr(config.data, "sample_rate", None)
    # The last one is recognised, if any is.
    pictures.save(directory.report, examples[-1].content, rate)
  page.write(
    directory.report,
    Run(
      report=report,
      config=config,
      plan=setup.plan,
      inventory=setup.inventory,
      lines=lines,
      routing=jax.device_get(state.routing),
      evaluation=evaluation,
      examples=examples,
      environment=environment,
      next_commands=next_commands(path) if "command" in environment else {},
    ),
  )
