"""An experiment as typed, frozen data: loading by name, overriding by flag.

Every field has a type, every choice between kinds of things is a tagged union
(`codec.Variant`), so a configuration is written to `config.json` and read back
without loss, and a wrong override is an error that names the field.
"""

import dataclasses
import json
import pathlib
from typing import Any, Literal

from neural_epitome import codec
from neural_epitome.data.options import Data, DataOptions
from neural_epitome.epitome.execution import Execution
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.errors import UserError
from neural_epitome.models import MobileNetV2Config, ModelConfig, NormOptions
from neural_epitome.planning import DensePlanner, Planner
from neural_epitome.strategies.options import SearchOptions


@dataclasses.dataclass(frozen=True)
class OptimizerOptions:
  """Update rule and schedule.

  Attributes:
    name: `rmsprop` is the TensorFlow form (epsilon inside the root, initial
      scale 1) that the MobileNet recipes mean.
    learning_rate: peak value, reached after warm-up.
    schedule: `cosine` to zero over the run, `exponential` by `decay_factor`
      every `decay_epochs`, or `constant`.
    warmup_epochs: linear warm-up from `warmup_start`.
    warmup_start: learning rate of the first step when there is a warm-up.
    decay_factor: factor of the exponential schedule.
    decay_epochs: epochs between its applications (a staircase).
    momentum: of sgd and rmsprop; the first-moment decay of adamw.
    decay: second-moment decay of rmsprop and adamw.
    epsilon: added to the second moment, inside the root for rmsprop.
    weight_decay: for adamw decoupled, else added to the gradient. Parameters of
      one axis (batch norm, biases) and routing indices take none.
    clip_norm: global gradient norm above which gradients are scaled; 0 is off.
    accumulate: steps whose gradients are averaged before one update.
    index_multiplier: learning rate of routing indices and of the index learner
      over that of everything else.
  """

  name: Literal["adamw", "sgd", "rmsprop"] = "adamw"
  learning_rate: float = 3e-3
  schedule: Literal["cosine", "exponential", "constant"] = "cosine"
  warmup_epochs: float = 0.5
  warmup_start: float = 1e-6
  decay_factor: float = 0.97
  decay_epochs: float = 3.0
  momentum: float = 0.9
  decay: float = 0.999
  epsilon: float = 1e-8
  weight_decay: float = 0.01
  clip_norm: float = 0.0
  accumulate: int = 1
  index_multiplier: float = 1.0


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
  """Everything about a run that is neither model, plan, data nor update rule.

  Attributes:
    epochs: passes over the training split; a fraction is allowed.
    seed: of initialisation, data order, augmentation, dropout and mixup.
    start: a run directory, a compact file, a state dict of torchvision or timm (see
      `training.pretrained`) or a file of variables (see `training.starting`) that
      the network starts from; empty for random initialisation.
    fit: how the kernels of what `start` names, if its plan is another one, are
      brought into this plan: `closed` keeps offsets where they start, `full`
      searches them (see `epitome.fitting`).
    fit_batches: training batches on which the inputs of every kernel are measured, so
      that those weights are fitted best that read the most; 0 weighs all alike.
    teacher: a run directory, compact file or state dict whose network is distilled;
      empty for none. It sees the same augmented examples, before mixup.
    teacher_share: of the loss that the teacher has, the labels have the rest.
    temperature: that both logits are divided by in the teacher's part.
    label_smoothing: probability mass spread evenly over all classes.
    ema_decay: of the averaged weights reported beside the raw ones; 0 is off.
    precision: type of activations and of generated kernels in the forward and
      backward pass; parameters, statistics and updates stay float32.
    batch_norm: statistics of each `device` or of the `global` batch.
    frozen_fraction: last share of the steps, trained with the routing map
      frozen and its channel offsets rounded to integers.
    reestimation_batches: batches from which batch-norm statistics are estimated
      anew at the end; 0 keeps the moving averages.
    log_every: steps between metric lines.
    evaluate_every: epochs between evaluations; the last step always evaluates.
    checkpoint_every: seconds between checkpoints; the last step always saves.
    keep_checkpoints: newest checkpoints kept.
    tensorboard: write TensorBoard events beside metrics.jsonl.
    peak_flops: FLOP/s of one device at its best, for the utilisation that is logged;
      0 takes the published figure (`cost.peaks`), and logs none where there is none.
  """

  epochs: float = 5.0
  seed: int = 0
  start: str = ""
  fit: Literal["closed", "full"] = "full"
  fit_batches: int = 0
  teacher: str = ""
  teacher_share: float = 0.5
  temperature: float = 2.0
  label_smoothing: float = 0.1
  ema_decay: float = 0.0
  precision: Literal["float32", "bfloat16"] = "float32"
  batch_norm: Literal["device", "global"] = "global"
  frozen_fraction: float = 0.05
  reestimation_batches: int = 20
  log_every: int = 20
  evaluate_every: float = 1.0
  checkpoint_every: float = 60.0
  keep_checkpoints: int = 2
  tensorboard: bool = True
  peak_flops: float = 0.0


@dataclasses.dataclass(frozen=True)
class Config:
  """One experiment.

  Attributes:
    name: the experiment's name; a work directory belongs to one.
    model: the architecture.
    norm: its batch norms.
    planner: how the plan of stored tensors is made for it.
    indices: where the sampling offsets come from during training.
    bits: of a number of the tensors that kernels come from: 32, or 2 to 8 for integers
      with a factor an output channel. Training reads them so from the first step on,
      with gradients that pass straight through, and evaluation and exports do. Routing
      maps, factors of replicas, biases and batch norm stay float32.
    execution: how kernels are run from epitomes; never changes the result.
    data: what is read: images or signals.
    optimizer: update rule and schedule.
    training: the rest.
    search: where the model is a supernet, what --mode=search does with it.
  """

  name: str = "unnamed"
  model: ModelConfig = MobileNetV2Config()
  norm: NormOptions = NormOptions()
  planner: Planner = DensePlanner()
  indices: IndexOptions = IndexOptions()
  bits: int = 32
  execution: Execution = "materialise"
  data: Data = DataOptions()
  optimizer: OptimizerOptions = OptimizerOptions()
  training: TrainingOptions = TrainingOptions()
  search: SearchOptions | None = None


def override(config: Any, path: str, text: str, where: str = "config") -> Any:
  """Returns `config` with the field at the dotted `path` set from `text`.

  Args:
    config: a frozen dataclass.
    path: field names joined by dots, below `config`.
    text: the new value as JSON, or a bare string; @FILE reads it from a file.
    where: the name of `config` itself, for error messages.

  Raises:
    UserError: if there is no such field or the value is not of its type.
  """
  name, _, rest = path.partition(".")
  hints = codec.field_types(type(config))
  if name not in hints:
    raise UserError(f"{where} has no field {name!r}.{codec.nearest(name, hints)}")
  here = f"{where}.{name}"
  if rest:
    inner = getattr(config, name)
    if not dataclasses.is_dataclass(inner):
      raise UserError(f"{here} has no fields of its own; set it as --{here}=VALUE.")
    return dataclasses.replace(config, **{name: override(inner, rest, text, here)})
  if text.startswith("@"):
    try:
      text = pathlib.Path(text[1:]).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
      told = getattr(error, "strerror", None) or "it is no text"
      raise UserError(f"--{here}={text}: {told}.") from None
  spelled = {"True": "true", "False": "false", "None": "null"}.get(text, text)
  try:
    value = json.loads(spelled)
  except json.JSONDecodeError:
    value = text
  try:
    value = codec.decode(hints[name], value, here)
  except UserError:
    # A string field may look like a number: --config.data.dataset=2012
    if value is text:
      raise
    try:
      value = codec.decode(hints[name], text, here)
    except UserError:
      value = codec.decode(hints[name], value, here)
  return dataclasses.replace(config, **{name: value})
