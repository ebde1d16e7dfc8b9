"""Recipes for data sets, one file each; a line here registers it.

Another package's is an entry point `neural_epitome.recipes`: a class, or an instance.
"""

from neural_epitome import plugins
from neural_epitome.data.recipes.base import Recipe
from neural_epitome.data.recipes.catalogue import ConvertRecipe, TfdsRecipe
from neural_epitome.data.recipes.cifar100 import Cifar100Recipe
from neural_epitome.data.recipes.cluttered import ClutteredRecipe
from neural_epitome.data.recipes.drums import DrumsRecipe
from neural_epitome.data.recipes.esc50 import Esc50Recipe
from neural_epitome.data.recipes.fashion_mnist import (
  EmbeddedRecipe,
  FashionMnistRecipe,
)
from neural_epitome.data.recipes.imagenet2012 import Imagenet2012Recipe
from neural_epitome.data.recipes.imagenet_form import ImagenetFormRecipe
from neural_epitome.data.recipes.plaid import PlaidRecipe
from neural_epitome.data.recipes.urbansound8k import UrbanSound8kRecipe

RECIPES: dict[str, Recipe] = {
  recipe.name: recipe
  for recipe in (
    FashionMnistRecipe(),
    Cifar100Recipe(),
    ClutteredRecipe(),
    DrumsRecipe(),
    PlaidRecipe(),
    Esc50Recipe(),
    UrbanSound8kRecipe(),
    Imagenet2012Recipe(),
    ImagenetFormRecipe(),
    TfdsRecipe(),
    ConvertRecipe(),
    EmbeddedRecipe(),
  )
}


def find(name: str) -> Recipe | None:
  """The recipe of a data set, of this package or of another; None if there is none.

  Raises:
    UserError: if another package has it and does not import.
  """
  if name in RECIPES:
    return RECIPES[name]
  recipe = plugins.load("recipes", name)
  return recipe() if isinstance(recipe, type) else recipe
