"""Weight generators, one file each; importing one here registers it."""

from neural_epitome.epitome.generators.base import Cost, GeneratorSpec
from neural_epitome.epitome.generators.dense import Dense
from neural_epitome.epitome.generators.epitome import Epitome
from neural_epitome.epitome.generators.wsnet import WSNet

__all__ = ["Cost", "Dense", "Epitome", "GeneratorSpec", "WSNet"]
