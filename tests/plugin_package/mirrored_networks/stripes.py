"""Pictures of stripes, level or upright."""

import numpy as np

from neural_epitome.data.array_records import write_prepared
from neural_epitome.data.recipes import Recipe
from neural_epitome.data.recipes.fashion_mnist import encode_png

SIDE = 8


class StripesRecipe(Recipe):
  """Grey pictures with noise over them."""

  name = "stripes"
  summary = "stripes, level or upright"

  def add_arguments(self, parser):
    """--noise."""
    parser.add_argument("--noise", type=float, default=20.0, help="its deviation")

  def prepare(self, options):
    """See `Recipe.prepare`."""
    random = np.random.default_rng(0)

    def rows(count):
      for index in range(count):
        stripes = np.tile(255 * (np.arange(SIDE) // 2 % 2), (SIDE, 1))
        picture = stripes if index % 2 else stripes.T
        noisy = picture + random.normal(scale=options.noise, size=picture.shape)
        yield encode_png(np.clip(noisy, 0, 255).astype(np.uint8)), index % 2

    splits = {"train": rows(320), "test": rows(100)}
    shape = (SIDE, SIDE, 1)
    return write_prepared(
      options.data_dir, self.name, splits, ["level", "upright"], shape=shape
    )
