"""Commands that pages and headers tell a reader to type, read by the real parsers."""

import argparse
import importlib
import importlib.util
import inspect
import shlex
from collections.abc import Sequence

import pytest
from absl import flags as absl_flags
from absl.testing import flagsaver

# Grain defines absl flags, which flagsaver would take away with it were it imported
# inside a call.
import neural_epitome.data.pipeline  # noqa: F401
from neural_epitome import config, flags

MAIN = "neural_epitome.main"


class _ParsedError(Exception):
  """Raised in place of what a script does after its arguments are parsed."""


def module(words: Sequence[str]) -> tuple[str, list[str]] | None:
  """The module that `python -m` runs and its arguments; None for other programs."""
  if words[:1] == ["neural-epitome"]:
    return MAIN, list(words[1:])
  if words[0].startswith("python") and words[1:2] == ["-m"] and len(words) > 2:
    return words[2], list(words[3:])
  return None


def configuration(arguments: Sequence[str]) -> config.Config | None:
  """The configuration that a command line of the main program names, if it does.

  Raises:
    UserError: for a flag, mode, experiment, field or value that does not exist.
  """
  with flagsaver.flagsaver():
    try:
      # A planner that an earlier command writes.
      known = [word for word in arguments if not word.startswith("--config.planner=@")]
      _, overrides = flags.parse(["main", *known])
      assert flags.MODE.value in flags.MODES, f"no mode {flags.MODE.value!r}"
      flags.check_mode()
      if flags.EXPERIMENT.value is None:
        return None
      return flags.configuration(overrides)
    finally:
      absl_flags.FLAGS.unparse_flags()


def check(line: str) -> None:
  """Raises what the program would of a command line that it does not understand.

  `python -m` of a module here runs its parser alone; of other programs nothing is
  asked.
  """
  words = shlex.split(line, comments=True)
  program = module(words)
  if not program:
    return
  name, arguments = program
  if name == MAIN:
    if "--help" not in arguments:
      configuration(arguments)
    return
  assert importlib.util.find_spec(name), f"there is no module {name}"
  if not name.startswith(("neural_epitome.", "benchmarks.", "launch.")):
    return
  if name == "launch.local_cluster" and "--" in arguments:
    configuration(arguments[arguments.index("--") + 1 :])
  _parse_only(name, arguments)


def _parse_only(name: str, arguments: Sequence[str]) -> None:
  script = importlib.import_module(name)
  if hasattr(script, "__path__"):
    script = importlib.import_module(f"{name}.__main__")
  # Where a package's __main__ only calls it, the program is in a module beside it.
  program = inspect.getmodule(script.main) or script
  if "parse_args" not in inspect.getsource(program):
    assert not arguments, f"python -m {name} takes no arguments"
    return
  original = argparse.ArgumentParser.parse_args

  def parse(self, args=None, namespace=None):
    original(self, args, namespace)
    raise _ParsedError

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(argparse.ArgumentParser, "parse_args", parse)
    patch.setattr("sys.argv", [name, *arguments])
    try:
      script.main()
    except _ParsedError:
      return
    except SystemExit as error:
      if error.code in (0, None):  # --help
        return
      raise AssertionError(f"python -m {name} does not take {arguments}") from error
  raise AssertionError(f"python -m {name} parsed no arguments")
