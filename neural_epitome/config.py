"""The configuration of an experiment: frozen dataclasses, and overrides of fields.

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
from neural_epitome.domains import (
  Amount,
  Bits,
  Count,
  Decay,
  Positive,
  Seed,
  Share,
  Whole,
)
from neural_epitome.epitome.execution import Execution
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.errors import UserError
from neural_epitome.models import MobileNetV2Config, ModelConfig, NormOptions
from neural_epitome.planning import DensePlanner, Planner
from neural_epitome.strategies.options import SearchOptions


@dataclasses.dataclass(frozen=True)
class OptimizerOptions:
  """Update rule and learning-rate schedule.

  Attributes:
    name: the update rule. `rmsprop` is the form of TensorFlow and of the MobileNet
      recipes: epsilon inside the square root, second moments starting at 1.
    learning_rate: peak value, reached after warm-up.
    schedule: of the learning rate after warm-up: `cosine` to zero at the end of the
      run, `exponential` (times `decay_factor` every `decay_epochs`) or `constant`.
    warmup_epochs: epochs in which the learning rate rises linearly from
      `warmup_start` to its peak.
    warmup_start: learning rate of the first step when there is a warm-up.
    decay_factor: factor of the exponential schedule.
    decay_epochs: epochs between two multiplications by `decay_factor`; in between the
      learning rate is constant.
    momentum: of sgd and rmsprop; the first-moment decay of adamw.
    decay: second-moment decay of rmsprop and adamw.
    epsilon: added to the second moment, inside the root for rmsprop.
    weight_decay: decoupled for adamw, otherwise added to the gradient. Not applied
      to norms, biases, class tokens, positions and routing indices.
    clip_norm: global gradient norm above which gradients are scaled; 0 is off.
    accumulate: steps whose gradients are averaged before one update.
    index_multiplier: factor on the learning rate of routing indices and of the index
      learner.
  """

  name: Literal["adamw", "sgd", "rmsprop"] = "adamw"
  learning_rate: Amount = 3e-3
  schedule: Literal["cosine", "exponential", "constant"] = "cosine"
  warmup_epochs: Amount = 0.5
  warmup_start: Amount = 1e-6
  decay_factor: Share = 0.97
  decay_epochs: Positive = 3.0
  momentum: Decay = 0.9
  decay: Decay = 0.999
  epsilon: Amount = 1e-8
  weight_decay: Amount = 0.01
  clip_norm: Amount = 0.0
  accumulate: Count = 1
  index_multiplier: Amount = 1.0


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
  """How a run starts, trains, evaluates, saves and logs.

  Attributes:
    epochs: passes over the training split; a fraction is allowed.
    seed: of initialisation, data order, augmentation, dropout and mixup.
    start: a run directory, a compact file, a state dict of another library (see
      `training.pretrained`) or a file of variables (see `training.initialization`)
      that the network starts from; empty for random initialisation.
    dense_epochs: of a dense network that is trained first; it is the start of the
      rest, and its teacher unless another is named. See `training.phases`.
    budget: of what is stored of the network of `start`, or of `dense_epochs`: bytes
      ("1.5MB"), or how many times smaller than its float32 ("25x"). Each kernel is
      stored in the way that loses least, in bits of its own, and the planner is not
      asked; places stay where they are fitted unless indices.source is `free`. Empty
      for the planner's plan.
    fit: how kernels are fitted if the network of `start` has another plan: `closed`
      keeps the initial offsets, `full` searches for better ones (see
      `epitome.fitting`).
    fit_batches: training batches on which the mean squares of each kernel's inputs are
      measured; the fit weighs the errors of weights by them. 0 weighs all alike.
    teacher: a run directory, compact file or state dict whose network is distilled;
      empty for none. It sees the same augmented examples, before mixup.
    teacher_share: weight of the teacher's term in the loss; that of the labels' term
      is 1 - teacher_share.
    temperature: divides the logits of teacher and student in the teacher's term.
    label_smoothing: probability mass spread evenly over all classes.
    ema_decay: decay of the moving average of the weights, which is evaluated beside
      the raw weights; 0 is off.
    precision: type of activations and of generated kernels in the forward and
      backward pass; parameters, statistics and updates stay float32.
    batch_norm: whether batch norms normalise by the statistics of the examples on
      each `device` or of the `global` batch.
    frozen_fraction: share of the steps, at the end of the run, that are trained with
      the routing map frozen and its channel offsets rounded to integers.
    reestimation_batches: training batches from which batch-norm statistics are
      estimated anew after the last step; 0 keeps the moving averages.
    log_every: steps between metric lines.
    evaluate_every: epochs between evaluations; the last step always evaluates.
    checkpoint_every: seconds between checkpoints; the last step always saves.
    keep_checkpoints: newest checkpoints kept.
    tensorboard: whether TensorBoard events are written beside metrics.jsonl.
    peak_flops: peak FLOP/s of one device, for the utilisation that is logged; 0 takes
      the published figure (`cost.peaks`) and logs no utilisation if there is none.
  """

  epochs: Positive = 5.0
  seed: Seed = 0
  start: str = ""
  dense_epochs: Amount = 0.0
  budget: str = ""
  fit: Literal["closed", "full"] = "full"
  fit_batches: Whole = 0
  teacher: str = ""
  teacher_share: Share = 0.5
  temperature: Positive = 2.0
  label_smoothing: Decay = 0.1
  ema_decay: Decay = 0.0
  precision: Literal["float32", "bfloat16"] = "float32"
  batch_norm: Literal["device", "global"] = "global"
  frozen_fraction: Share = 0.05
  reestimation_batches: Whole = 20
  log_every: Count = 20
  evaluate_every: Amount = 1.0
  checkpoint_every: Amount = 60.0
  keep_checkpoints: Count = 2
  tensorboard: bool = True
  peak_flops: Amount = 0.0


@dataclasses.dataclass(frozen=True)
class Config:
  """One experiment.

  Attributes:
    name: the experiment's name; a run directory belongs to one experiment.
    model: the architecture.
    norm: options of its batch norms.
    planner: makes the plan: which tensors are stored and how kernels come from them.
    indices: where the sampling offsets come from during training.
    bits: of each number in the tensors that kernels are generated from: 32, 16 for
      float16, or 1 to 8 for integers with one float32 factor an output channel.
      Training reads the rounded tensors from the first step on, with straight-through
      gradients; evaluation and exports read them too. Routing maps, factors of
      replicas, biases and batch norm stay float32.
    execution: how layers are computed from epitomes; never changes the result.
    data: the data set and the form of the network's input: images or signals.
    optimizer: update rule and schedule.
    training: how the run starts, trains, evaluates, saves and logs.
    search: options of --mode=search if the model is a supernet; None otherwise.
  """

  name: str = "unnamed"
  model: ModelConfig = MobileNetV2Config()
  norm: NormOptions = NormOptions()
  planner: Planner = DensePlanner()
  indices: IndexOptions = IndexOptions()
  bits: Bits = 32
  execution: Execution = "materialise"
  data: Data = DataOptions()
  optimizer: OptimizerOptions = OptimizerOptions()
  training: TrainingOptions = TrainingOptions()
  search: SearchOptions | None = None


def checked(config: Config) -> Config:
  """The same configuration, once its types and domains have been checked.

  An experiment is written in Python, whose dataclasses check neither.

  Raises:
    UserError: naming the first field that has a wrong type or is out of its domain.
  """
  return codec.decode(Config, codec.encode(config), "config")


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
      reason = getattr(error, "strerror", None) or "it is no text"
      raise UserError(f"--{here}={text}: {reason}.") from None
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
