# The public names and where each lives: what type checkers see, and the table that
# `__init__.py` imports them by.

# What is trained, and what comes of it.
from neural_epitome import nnx as nnx
from neural_epitome.compression.compress import compress as compress
from neural_epitome.compression.compressed import Compressed as Compressed
from neural_epitome.compression.loading import load_compressed as load_compressed
from neural_epitome.config import Config as Config
from neural_epitome.epitome.activations import input_importance as input_importance
from neural_epitome.epitome.activations import input_moments as input_moments

# Kernels: how each is generated (a generator), by how much (a rule), and all together.
from neural_epitome.epitome.generators import ChannelEpitome as ChannelEpitome
from neural_epitome.epitome.generators import ChannelEpitomeRule as ChannelEpitomeRule
from neural_epitome.epitome.generators import Cost as Cost
from neural_epitome.epitome.generators import Dense as Dense
from neural_epitome.epitome.generators import Epitome as Epitome
from neural_epitome.epitome.generators import EpitomeRule as EpitomeRule
from neural_epitome.epitome.generators import GeneratorSpec as GeneratorSpec
from neural_epitome.epitome.generators import Hashed as Hashed
from neural_epitome.epitome.generators import HashedRule as HashedRule
from neural_epitome.epitome.generators import LowRank as LowRank
from neural_epitome.epitome.generators import LowRankRule as LowRankRule
from neural_epitome.epitome.generators import QuantisedRule as QuantisedRule
from neural_epitome.epitome.generators import Rule as Rule
from neural_epitome.epitome.generators import SharedEpitome as SharedEpitome
from neural_epitome.epitome.generators import SharedEpitomeRule as SharedEpitomeRule
from neural_epitome.epitome.generators import SharingRule as SharingRule
from neural_epitome.epitome.generators import WindowedEpitome as WindowedEpitome
from neural_epitome.epitome.generators import WindowedEpitomeRule as WindowedEpitomeRule
from neural_epitome.epitome.generators import WSNet as WSNet
from neural_epitome.epitome.generators import WSNetRule as WSNetRule
from neural_epitome.epitome.layers import EpitomeConv as EpitomeConv
from neural_epitome.epitome.layers import EpitomeDense as EpitomeDense
from neural_epitome.epitome.plan import Plan as Plan
from neural_epitome.epitome.routing import IndexOptions as IndexOptions
from neural_epitome.errors import UserError as UserError
from neural_epitome.experiment import load_experiment as load_experiment
from neural_epitome.models.cell_files import load_cells as load_cells
from neural_epitome.report.live import live as live
from neural_epitome.search.cell_latency import (
  measure_cell_latencies as measure_cell_latencies,
)
from neural_epitome.spaces.cell_prices import CellFrame as CellFrame
from neural_epitome.spaces.cell_states import CellSpace as CellSpace
from neural_epitome.strategies.cell_transformer import (
  CellTransformer as CellTransformer,
)
from neural_epitome.training.compressed_distillation import distill as distill
from neural_epitome.training.compressed_statistics import STATISTICS as STATISTICS
from neural_epitome.training.compressed_statistics import (
  remeasure_statistics as remeasure_statistics,
)
from neural_epitome.training.loading import evaluate as evaluate
from neural_epitome.training.loading import load as load
from neural_epitome.training.loading import predict as predict
from neural_epitome.training.phases import run as run
from neural_epitome.training.pretrained import load_pretrained as load_pretrained
from neural_epitome.training.trained import Trained as Trained
from neural_epitome.weight_files.compressing import compress_file as compress_file
from neural_epitome.weight_files.expanding import expand_file as expand_file

__version__: str
