"""The flags of the command line, and the configuration and directory that they name."""

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from neural_epitome import codec, config, experiment
from neural_epitome.errors import UserError

# Values of --config.FIELD, as text, by dotted field.
Overrides = Sequence[tuple[str, str]]

_OVERRIDE = "--config."
# Modes that take positional arguments: directories of runs, files.
_WITH_ARGUMENTS = ("compare", "predict")

EXPERIMENT = flags.DEFINE_string(
  "experiment", None, "A shipped experiment (see --mode=list) or a Python file."
)
# Each mode, a module of `modes`, and what it does.
MODES = {
  "train": "train, resume, or say that it is done",
  "evaluate": "top-1 of --workdir, or what a file of --mode=compress lost",
  "plan": "what is stored for each kernel, and the price",
  "predict": "name what --images show",
  "compare": "finished runs in the directories that are named, or such files",
  "export": "the network of --workdir as files of --format",
  "compress": "the weights of a trained network in a file, in --budget",
  "search": "a supernet, a network found in it, and that network trained",
  "latency_table": "times the blocks of a search's space here",
  "list": "all experiments and modes",
}
MODE = flags.DEFINE_string(
  "mode", "train", "; ".join(f"{mode}: {hint}" for mode, hint in MODES.items()) + "."
)
WORKDIR = flags.DEFINE_string(
  "workdir", None, "Directory of the run; runs/EXPERIMENT by default."
)
DATASET = flags.DEFINE_string(
  "dataset",
  None,
  "'embedded', a data set prepared in --data_dir, or a folder of class folders.",
)
DATA_DIR = flags.DEFINE_string("data_dir", None, "Directory of prepared data sets.")
IMAGES = flags.DEFINE_multi_string(
  "images",
  None,
  "Image files, folders of them or patterns for --mode=predict; repeat, join with "
  "commas, or name several behind it.",
)
WEIGHTS = flags.DEFINE_string(
  "weights",
  None,
  "Weights for evaluate, predict and compare: raw, or ema, by default if kept. For "
  "--mode=compress the file of a trained network: .pth, .safetensors, .npz, msgpack, "
  "ONNX, or the folder of an Orbax checkpoint; the same for evaluate, compare and "
  "export of what that mode wrote.",
)
LAYOUT = flags.DEFINE_enum(
  "layout",
  None,
  ["torch", "flax"],
  "How the kernels of the file of --mode=compress lie in it; found out by default.",
)
KEEP = flags.DEFINE_multi_string(
  "keep",
  [],
  "Shell pattern of kernels that --mode=compress leaves as they are; repeat.",
)
RULE = flags.DEFINE_enum(
  "rule",
  "best",
  ["best", "collaborative"],
  "What --mode=compress tries on each kernel: all known ways, or integers and the "
  "removal of input channels and singular values of Collaborative Compression.",
)
EXAMPLES = flags.DEFINE_string(
  "examples",
  None,
  "An .npz of arrays named as the inputs of the ONNX graph that --weights names, and "
  "labels maybe: --mode=compress, evaluate and compare measure on them what its "
  "outputs lose.",
)
MAX_DROP = flags.DEFINE_float(
  "max_drop",
  None,
  "In place of --budget, with --examples: the smallest file of --mode=compress that "
  "loses so many percent points at most.",
)
BASELINE = flags.DEFINE_multi_string(
  "baseline",
  None,
  "Name of a method, with * and ?, to which --mode=compare takes paired differences; "
  "repeat. '*tile' and '*width' by default.",
)
OUTPUT = flags.DEFINE_string(
  "output",
  None,
  "Directory of the page and figures of --mode=compare ('comparison' by default), or "
  "of the files of --mode=export ('exported'); file of --mode=latency_table, or of the "
  "planner of --budget.",
)
FORMAT = flags.DEFINE_multi_string(
  "format",
  ["compact"],
  "Formats for --mode=export; repeat, or join with commas: compact (.safetensors, what "
  "is stored), c (a header), stablehlo (a program for CPU, CUDA and TPU), onnx, "
  "litert (.tflite); of a file of --mode=compress weights, the file that it came from, "
  "or c, torch, safetensors, npz, msgpack; with --weights=FILE, the ONNX file that was "
  "compressed, onnx, its graph with small kernels, or onnx-float, with full ones. Of "
  "--mode=compress itself compact, or onnx: the file that --budget is of.",
)
EXECUTION = flags.DEFINE_enum(
  "execution",
  "fold",
  ["fold", "materialise", "decode", "measured"],
  "How an exported program runs its kernels: folded where that can be done; built "
  "from the epitomes each time; built once, the dense network; or measured: folded "
  "where that is faster here, in the runtime of the format, and built once elsewhere.",
)
BITS = flags.DEFINE_integer(
  "bits",
  None,
  "Bits of stored numbers in an exported compact file or C header: 32, or 1 to 8; "
  "config.bits of the run by default.",
)
STAGES = flags.DEFINE_multi_string(
  "stages",
  [],
  "Stages of --mode=search, all by default: supernet, search, final; repeat, or join "
  "with commas.",
)
BATCH = flags.DEFINE_integer("batch", 1, "Images in a call of --mode=latency_table.")
NETWORKS = flags.DEFINE_integer(
  "networks", 20, "Networks that --mode=latency_table times whole, against its sums."
)
PROFILE_STEPS = flags.DEFINE_string(
  "profile_steps",
  None,
  "START:END traces what --mode=train does from step START until step END is done, for "
  "TensorBoard and Perfetto, into the run directory.",
)
BUDGET = flags.DEFINE_string(
  "budget",
  None,
  "The size of the file of --mode=compress, '300kB' or '10x' smaller, or several "
  "joined with commas. What --mode=plan may spend: '300kB', '1.2M parameters', "
  "'20M madds' of the folded network, or '4x' of the compressed kernels.",
)
ALLOCATION = flags.DEFINE_enum(
  "allocation",
  None,
  ["uniform", "uneven", "sensitivity", "searched"],
  "How --budget is shared out: at one rate; small kernels compressed less; by what "
  "each kernel's rate costs; or by a search. For the last two the network is trained "
  "once, at all rates. By default as config.planner says.",
)
JSON = flags.DEFINE_bool("json", False, "Print JSON instead of a table.")
COORDINATOR_ADDRESS = flags.DEFINE_string(
  "coordinator_address",
  None,
  "HOST:PORT of process 0, for train, evaluate and search in several processes where "
  "no cluster (Cloud TPU, SLURM, Kubernetes, Open MPI) names them; also "
  "JAX_COORDINATOR_ADDRESS, and so for the next two.",
)
NUM_PROCESSES = flags.DEFINE_integer(
  "num_processes", None, "Number of processes; 1 looks for no cluster."
)
PROCESS_ID = flags.DEFINE_integer("process_id", None, "Which of them this is, from 0.")
INITIALIZATION_TIMEOUT = flags.DEFINE_integer(
  "initialization_timeout", 300, "Seconds in which all processes must be there."
)
MAINTENANCE_NOTICES = flags.DEFINE_bool(
  "maintenance_notices",
  False,
  "On a machine of Google Compute Engine: stop as at SIGTERM when it is announced that "
  "the machine will be stopped, for a GPU an hour before.",
)

# Flags that only some modes read: others would run as if they were not there.
_OF_MODES = {
  "images": ("predict",),
  "weights": ("evaluate", "predict", "compare", "export", "compress"),
  "output": ("compare", "export", "latency_table", "plan", "compress"),
  "layout": ("compress", "evaluate", "compare"),
  "keep": ("compress",),
  "rule": ("compress",),
  "examples": ("compress", "evaluate", "compare"),
  "max_drop": ("compress",),
  "baseline": ("compare",),
  "format": ("export", "compress"),
  "execution": ("export",),
  "bits": ("export",),
  "stages": ("search",),
  "batch": ("latency_table",),
  "networks": ("latency_table",),
  "profile_steps": ("train",),
  "allocation": ("plan",),
}
# What training has in their place.
_INSTEAD = {
  "weights": "start from a file with --config.training.start=FILE",
  "output": "name the run's directory with --workdir=DIR",
  "bits": "train for few bits with --config.bits",
}


def check_mode() -> None:
  """Raises UserError for a flag that --mode does not read."""
  for name, modes in _OF_MODES.items():
    if flags.FLAGS[name].present and MODE.value not in modes:
      instead = _INSTEAD.get(name) if MODE.value == "train" else None
      raise UserError(
        f"--{name} is of --mode={', '.join(modes)}, and --mode={MODE.value} "
        f"does not read it: {instead or 'leave it out'}."
      )


def parse(arguments: Sequence[str]) -> tuple[list[str], list[tuple[str, str]]]:
  """Parses a command line: sets absl's flags and collects the --config overrides.

  Args:
    arguments: of the command line; the first is the name of the program.

  Returns:
    The positional arguments, and (dotted field, value as text) of each
    --config.FIELD=VALUE in order.

  Raises:
    UserError: for an unknown flag, a flag without a value, or positional arguments in
      a mode that takes none.
  """
  overrides, rest, pending = [], [], list(arguments[1:])
  while pending:
    argument = pending.pop(0)
    if not argument.startswith(_OVERRIDE):
      rest.append(argument)
      continue
    path, has_value, text = argument.removeprefix(_OVERRIDE).partition("=")
    if not has_value:
      if not pending or pending[0].startswith("--"):
        raise UserError(f"{argument} needs a value: {argument}=VALUE.")
      text = pending.pop(0)
    overrides.append((path, text))
  try:
    left = flags.FLAGS([arguments[0], *rest])
  except flags.UnrecognizedFlagError as error:
    known = [name for name in flags.FLAGS if not name.startswith("_")]
    hint = codec.nearest(error.flagname, known)
    raise UserError(f"There is no flag --{error.flagname}.{hint}") from None
  except flags.Error as error:
    raise UserError(str(error).replace("\n", " ")) from None
  if left[1:] and MODE.value not in _WITH_ARGUMENTS:
    raise UserError(f"{left[1]!r} is not a flag; flags start with --.")
  return left[1:], overrides


def configuration(overrides: Overrides) -> config.Config:
  """The experiment of --experiment, with the changes that other flags ask for.

  Args:
    overrides: of `parse`; applied last, in order.

  Raises:
    UserError: if --experiment is missing or cannot be loaded, or an override names no
      field or has a wrong value.
  """
  if EXPERIMENT.value is None:
    names = ", ".join(experiment.shipped())
    raise UserError(f"--experiment=NAME is needed. Shipped: {names}.")
  chosen = experiment.load_experiment(EXPERIMENT.value)
  for field, value in (("dataset", DATASET.value), ("data_dir", DATA_DIR.value)):
    if value is not None:
      data = dataclasses.replace(chosen.data, **{field: value})
      chosen = dataclasses.replace(chosen, data=data)
  for path, text in overrides:
    chosen = config.override(chosen, path, text)
  return chosen


def workdir() -> Path:
  """The run directory: --workdir, or runs/EXPERIMENT.

  Raises:
    UserError: if neither --workdir nor --experiment is given.
  """
  if WORKDIR.value is not None:
    return Path(WORKDIR.value).expanduser()
  if EXPERIMENT.value is None:
    raise UserError("--workdir=DIR or --experiment=NAME is needed.")
  return Path("runs") / Path(EXPERIMENT.value).stem


def weights() -> str | None:
  """Which weights of a run to use: `raw`, `ema`, or None for averaged ones if kept.

  Raises:
    UserError: if --weights is something else.
  """
  if WEIGHTS.value not in (None, "raw", "ema"):
    raise UserError(
      f"--weights={WEIGHTS.value} must be raw or ema; a file of weights is for "
      "--mode=compress."
    )
  return WEIGHTS.value


def command(overrides: Overrides, *, without: str | None = None) -> str:
  """The command line, quoted for a shell, that sets the same flags again.

  Args:
    overrides: of `parse`.
    without: name of a flag to leave out.
  """
  parts = ["python", "-m", "neural_epitome.main"]
  for flag in flags.FLAGS.get_flags_for_module(__name__):
    if flag.present and flag.name != without:
      parts += flag.serialize().splitlines()
  parts += [f"{_OVERRIDE}{path}={text}" for path, text in overrides]
  return shlex.join(parts)


def names_processes() -> bool:
  """Whether a flag of those that describe several processes is set."""
  values = (COORDINATOR_ADDRESS.value, NUM_PROCESSES.value, PROCESS_ID.value)
  return any(value is not None for value in values)
