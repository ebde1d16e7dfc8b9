"""Weight generators, one file each; importing one here registers it."""

from neural_epitome.epitome.generators.base import (
  Cost,
  GeneratorSpec,
  Rule,
  SharingRule,
)
from neural_epitome.epitome.generators.channel_epitome import (
  ChannelEpitome,
  ChannelEpitomeRule,
)
from neural_epitome.epitome.generators.dense import Dense
from neural_epitome.epitome.generators.epitome import Epitome
from neural_epitome.epitome.generators.epitome_rule import EpitomeRule
from neural_epitome.epitome.generators.hashed import Hashed, HashedRule
from neural_epitome.epitome.generators.low_rank import LowRank, LowRankRule
from neural_epitome.epitome.generators.quantised import QuantisedRule
from neural_epitome.epitome.generators.shared_epitome import (
  SharedEpitome,
  SharedEpitomeRule,
)
from neural_epitome.epitome.generators.windowed_epitome import WindowedEpitome
from neural_epitome.epitome.generators.windowed_epitome_rule import WindowedEpitomeRule
from neural_epitome.epitome.generators.wsnet import WSNet
from neural_epitome.epitome.generators.wsnet_rule import WSNetRule

__all__ = [
  "ChannelEpitome",
  "ChannelEpitomeRule",
  "Cost",
  "Dense",
  "Epitome",
  "EpitomeRule",
  "GeneratorSpec",
  "Hashed",
  "HashedRule",
  "LowRank",
  "LowRankRule",
  "QuantisedRule",
  "Rule",
  "SharedEpitome",
  "SharedEpitomeRule",
  "SharingRule",
  "WSNet",
  "WSNetRule",
  "WindowedEpitome",
  "WindowedEpitomeRule",
]
