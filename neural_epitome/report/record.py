"""What is known of a run when its report is written."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from neural_epitome.config import Config
from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome.plan import Plan
from neural_epitome.report import pictures


@dataclasses.dataclass(frozen=True)
class Run:
  """All that the page of a run shows.

  Attributes:
    report: of `summary.make`.
    config: the experiment.
    plan: of its network.
    inventory: of its architecture.
    lines: of metrics.jsonl.
    routing: the `routing` collection, on the host.
    evaluation: of `predictions.summarise`, with `weights` ("raw" or "ema") beside it.
    examples: some of the evaluation split, wrong ones and right ones.
    environment: of `environment.describe`.
    next_commands: what to do with the run, by mode.
  """

  report: Mapping[str, Any]
  config: Config
  plan: Plan
  inventory: Inventory
  lines: Sequence[Mapping[str, Any]]
  routing: Any
  evaluation: Mapping[str, Any]
  examples: Sequence[pictures.Example]
  environment: Mapping[str, str]
  next_commands: Mapping[str, str]
