"""ESC-50: 2,000 environmental sounds of five seconds in 50 classes, five folds."""

import pathlib

from neural_epitome.data.recipes.sound_tables import SoundTableRecipe


class Esc50Recipe(SoundTableRecipe):
  """`esc50`: splits `fold_1` to `fold_5`, the official ones (Piczak 2015)."""

  name = "esc50"
  summary = "ESC-50 from its folder (meta/esc50.csv, audio/*.wav), official folds"
  table = "meta/esc50.csv"
  label_column = "target"
  class_column = "category"
  folds = 5
  where = "https://github.com/karolpiczak/ESC-50"
  description = (
    "ESC-50, a dataset for environmental sound classification: recordings of five "
    "seconds from freesound.org, CC-BY-NC."
  )
  citation = """@inproceedings{piczak2015dataset,
  author = {Piczak, Karol J.},
  title = {{ESC}: {Dataset} for {Environmental Sound Classification}},
  booktitle = {Proceedings of the 23rd {Annual ACM Conference} on {Multimedia}},
  pages = {1015--1018},
  year = {2015},
}"""

  def path(self, root: pathlib.Path, row: dict[str, str]) -> pathlib.Path:
    """audio/FILE."""
    return root / "audio" / row["filename"]
