"""What every recipe for a data set can do."""

import abc
import argparse
import pathlib
from typing import ClassVar


class Recipe(abc.ABC):
  """A way to prepare one data set; each is a class in a file of its own.

  Attributes:
    name: what the command line and `--dataset` call the data set.
    summary: one line for the command line's help.
  """

  name: ClassVar[str]
  summary: ClassVar[str]

  def add_arguments(self, parser: argparse.ArgumentParser) -> None:
    """Adds the flags that `prepare` reads beside `data_dir`."""
    del parser

  @abc.abstractmethod
  def prepare(self, options: argparse.Namespace) -> pathlib.Path:
    """Prepares the data set in `options.data_dir`; returns its directory.

    Raises:
      UserError: if it cannot be made, naming what is missing.
    """
