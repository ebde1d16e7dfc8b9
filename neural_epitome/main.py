"""The command line: flags -> experiment -> one job.

  python -m neural_epitome.main --experiment=mbv2_epitome
  python -m neural_epitome.main --mode=list
  python -m neural_epitome.main --mode=compare runs

Any field of the experiment's configuration is set by a flag of its dotted name, as
in --config.optimizer.learning_rate=0.1; --mode=plan --json prints them all.
"""

import importlib
import sys
from collections.abc import Sequence

from absl import flags as absl_flags

from neural_epitome import codec, flags, packages
from neural_epitome.errors import UserError
from neural_epitome.runs import malloc


def main(arguments: Sequence[str]) -> int:
  """Runs one job.

  Args:
    arguments: the command line, program name first.

  Returns:
    The exit code: 0, or 1 after telling the user what to change.
  """
  malloc.keep_freed_memory()
  if {"--help", "-help", "-h"} & set(arguments):
    # absl's own --help exits with 1, as if asking were a mistake.
    print(__doc__)
    print(absl_flags.FLAGS.module_help(flags.__name__))
    return 0
  try:
    rest, overrides = flags.parse(arguments)
    name = flags.MODE.value
    if name not in flags.MODES:
      raise UserError(f"There is no mode {name!r}.{codec.nearest(name, flags.MODES)}")
    if name not in ("plan", "compress") and flags.BUDGET.value is not None:
      raise UserError(
        "--budget is of --mode=compress, and of --mode=plan, which says with which "
        "--config.planner the other modes meet it."
      )
    flags.check_mode()
    # Imported here: a mode brings only what it needs.
    with packages.advised():
      mode = importlib.import_module(f"neural_epitome.modes.{name}")
      if flags.names_processes() and not mode.SEVERAL_PROCESSES:
        raise UserError(f"--mode={name} runs in one process.")
      mode.run(rest, overrides)
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    return 1
  except KeyboardInterrupt as interrupt:
    line = str(interrupt) or "Interrupted; the same command resumes."
    print(line, file=sys.stderr)
    return 130
  except BrokenPipeError:
    return 0
  return 0


def entry() -> None:
  """The console script."""
  sys.exit(main(sys.argv))


if __name__ == "__main__":
  entry()
