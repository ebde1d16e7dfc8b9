"""The compiled functions of a run: teacher, training step and evaluation."""

import dataclasses
from collections.abc import Callable
from typing import Any

import optax

from neural_epitome.config import Config
from neural_epitome.distributed.devices import Batch
from neural_epitome.training import (
  distillation,
  evaluation,
  gate_learning,
  gate_step,
  optimizer,
  step,
)
from neural_epitome.training.setup import Setup
from neural_epitome.training.state import State


@dataclasses.dataclass(frozen=True)
class Programs:
  """The functions that a run calls batch by batch; each compiles at its first call.

  Attributes:
    rule: the gradient transformation that `train_step` applies.
    teach: adds the teacher's logits to a batch, see `distillation.make_teacher`; None
      for a run without a teacher.
    train_step: one update, see `step.make_train_step`.
    counter: the evaluation of one batch, see `evaluation.make_counter`.
    gates: those that learn beside the weights; None where none do.
    learn: one update of the gates, see `gate_learning.make_step`; None likewise.
  """

  rule: optax.GradientTransformation
  teach: Callable[[Batch], Batch] | None
  train_step: Callable[[State, Batch], tuple[State, step.Metrics]]
  counter: evaluation.Counter
  gates: gate_step.Gates | None
  learn: gate_learning.Step | None

  def start_policy(self) -> Any:
    """The state of what learns beside the weights, before its first step."""
    return {} if self.gates is None else self.gates.start()


def make_programs(config: Config, setup: Setup) -> Programs:
  """The functions of a run; the teacher, if there is one, is loaded here.

  Args:
    config: the experiment.
    setup: of the run.

  Raises:
    UserError: if the teacher cannot be loaded, or was trained for other classes or
      examples.
  """
  options = config.training
  teach = None
  if options.teacher:
    teach = distillation.make_teacher(config, setup.classes, setup.mesh)
  rule, schedule = optimizer.create(
    config.optimizer,
    total_steps=setup.total_steps,
    steps_per_epoch=setup.steps_per_epoch,
  )
  train_step = step.make_train_step(
    setup.model,
    rule,
    schedule,
    setup.mesh,
    step.StepOptions(
      seed=options.seed,
      label_smoothing=options.label_smoothing,
      mixup=config.data.augmentation.mixup,
      teacher_share=options.teacher_share,
      temperature=options.temperature,
      ema_decay=options.ema_decay,
      freeze_step=setup.freeze_step,
    ),
  )
  counter = evaluation.make_counter(setup.model, setup.mesh, examples=True)
  gates, learn = gate_step.of(config, len(setup.classes)), None
  if gates is not None:
    learn = gate_learning.make_step(gates, setup, options.seed)
  return Programs(rule, teach, train_step, counter, gates, learn)
