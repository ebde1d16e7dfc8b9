"""What a finished run leaves to be read: its page, and what was predicted."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from neural_epitome.config import Config
from neural_epitome.report import page, pictures, predictions
from neural_epitome.report.next_commands import next_commands
from neural_epitome.report.predictions import Predictions
from neural_epitome.runs import directory as directories
from neural_epitome.runs.directory import RunDirectory
from neural_epitome.training.setup import Setup
from neural_epitome.training.state import State

# Of each kind on the page.
WRONG, RIGHT = 12, 12


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
  """Writes the files, report.json last; called in process 0 only.

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
  found = predicted[weights]
  evaluation = {
    "weights": weights,
    "step": int(state.step),
    **predictions.summarise(found, setup.classes),
  }
  path = directory.path
  directories.write(path / directories.EVALUATION, json.dumps(evaluation) + "\n")
  made_with = json.dumps(dict(environment), indent=2) + "\n"
  directories.write(path / directories.ENVIRONMENT, made_with)
  chosen = [
    index
    for right, count in ((False, WRONG), (True, RIGHT))
    for index in predictions.choose(found, count, right=right)
  ]
  contents = setup.feed.evaluation_inputs(found.position[chosen].tolist())
  examples = [
    pictures.Example(
      label=setup.classes[found.label[index]],
      predicted=setup.classes[found.predicted[index]],
      confidence=float(found.confidence[index]),
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
    page.Run(
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
