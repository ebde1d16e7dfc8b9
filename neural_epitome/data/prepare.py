"""Prepares data sets as TFDS array_record directories, without TensorFlow.

What comes out is an ordinary prepared directory: `sources` reads it as it reads
ImageNet. How each data set is made is a file in `recipes`.

  python -m neural_epitome.data.prepare fashion_mnist --idx_dir=DIR --data_dir=DIR
  python -m neural_epitome.data.prepare drums --data_dir=DIR
"""

import argparse
import sys

from neural_epitome import plugins
from neural_epitome.data import recipes
from neural_epitome.errors import UserError


def make_parser(requested: str = "") -> argparse.ArgumentParser:
  """The parser of the command line: a subcommand a recipe.

  Args:
    requested: name of the recipe that will be run. If it belongs to another package,
      it is imported for its flags; other packages' recipes are listed by name only.

  Raises:
    UserError: if the recipe belongs to another package whose import fails.
  """
  parser = argparse.ArgumentParser(
    prog="python -m neural_epitome.data.prepare",
    description="Prepare a data set as TFDS array_record files.",
    epilog="Any other name is fetched as TFDS says.",
  )
  commands = parser.add_subparsers(dest="recipe", metavar="DATASET", required=True)
  for recipe in recipes.RECIPES.values():
    command = commands.add_parser(recipe.name, help=recipe.summary)
    command.add_argument("--data_dir", required=True, help="folder to write to")
    recipe.add_arguments(command)
  for name in sorted({*plugins.names("recipes")} - recipes.RECIPES.keys()):
    command = commands.add_parser(name, help=f"of {plugins.package('recipes', name)}")
    command.add_argument("--data_dir", required=True, help="folder to write to")
    recipe = recipes.find(name) if name == requested else None
    if recipe is not None:
      recipe.add_arguments(command)
  return parser


def main(arguments: list[str] | None = None) -> int:
  """Runs the command line.

  Args:
    arguments: without the name of the program; None takes those of the process.

  Returns:
    The exit code: 0, or 1 after an error of the user, which is printed to stderr.
  """
  arguments = sys.argv[1:] if arguments is None else list(arguments)
  known = {*recipes.RECIPES, *plugins.names("recipes")}
  if arguments and not arguments[0].startswith("-") and arguments[0] not in known:
    arguments = ["tfds", *arguments]
  try:
    options = make_parser(*arguments[:1]).parse_args(arguments)
    recipe = recipes.find(options.recipe)
    assert recipe is not None
    target = recipe.prepare(options)
  except UserError as error:
    print(error, file=sys.stderr)
    return 1
  print(f"Prepared {target}")
  return 0


if __name__ == "__main__":
  sys.exit(main())
