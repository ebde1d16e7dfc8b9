"""Prepares data sets as TFDS array_record directories, without TensorFlow.

What comes out is an ordinary prepared directory: `sources` reads it as it reads
ImageNet. How each data set is made is a file in `recipes`.

  python -m neural_epitome.data.prepare fashion_mnist --idx_dir=DIR --data_dir=DIR
  python -m neural_epitome.data.prepare drums --data_dir=DIR
"""

import argparse
import sys

from neural_epitome.data.recipes import RECIPES
from neural_epitome.errors import UserError


def make_parser() -> argparse.ArgumentParser:
  """The parser of the command line: a subcommand a recipe."""
  parser = argparse.ArgumentParser(
    prog="python -m neural_epitome.data.prepare",
    description="Prepare a data set as TFDS array_record files.",
    epilog="Any other name is fetched as TFDS says.",
  )
  commands = parser.add_subparsers(dest="recipe", metavar="DATASET", required=True)
  for recipe in RECIPES.values():
    command = commands.add_parser(recipe.name, help=recipe.summary)
    command.add_argument("--data_dir", required=True, help="folder to write to")
    recipe.add_arguments(command)
  return parser


def main(arguments: list[str] | None = None) -> int:
  """Runs the command line; returns its exit code."""
  arguments = sys.argv[1:] if arguments is None else list(arguments)
  if arguments and not arguments[0].startswith("-") and arguments[0] not in RECIPES:
    arguments = ["tfds", *arguments]
  options = make_parser().parse_args(arguments)
  try:
    target = RECIPES[options.recipe].prepare(options)
  except UserError as error:
    print(error, file=sys.stderr)
    return 1
  print(f"Prepared {target}")
  return 0


if __name__ == "__main__":
  sys.exit(main())
