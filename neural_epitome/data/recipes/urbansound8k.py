"""UrbanSound8K: 8,732 urban sounds of at most four seconds in ten classes."""

import pathlib

from neural_epitome.data.recipes.sound_tables import SoundTableRecipe


class UrbanSound8kRecipe(SoundTableRecipe):
  """`urbansound8k`: splits `fold_1` to `fold_10`, the official ones."""

  name = "urbansound8k"
  summary = "UrbanSound8K from its folder (metadata/*.csv, audio/foldN/*.wav)"
  table = "metadata/UrbanSound8K.csv"
  label_column = "classID"
  class_column = "class"
  folds = 10
  where = "https://urbansounddataset.weebly.com/urbansound8k.html"
  description = (
    "UrbanSound8K, excerpts of field recordings from freesound.org, CC-BY-NC 3.0."
  )
  citation = """@inproceedings{salamon2014dataset,
  author = {Salamon, J. and Jacoby, C. and Bello, J. P.},
  title = {A Dataset and Taxonomy for Urban Sound Research},
  booktitle = {22nd {ACM} International Conference on Multimedia},
  pages = {1041--1044},
  year = {2014},
}"""

  def path(self, root: pathlib.Path, row: dict[str, str]) -> pathlib.Path:
    """audio/foldN/FILE."""
    return root / "audio" / f"fold{row['fold']}" / row["slice_file_name"]
