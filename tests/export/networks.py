"""Networks to export: trained-looking numbers everywhere, in seconds."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from neural_epitome.config import Config
from neural_epitome.epitome.generators import EpitomeRule, LowRank, LowRankRule
from neural_epitome.export import inference_model
from neural_epitome.planning import RatePlanner
from neural_epitome.training import setup
from neural_epitome.training.trained import Trained
from tests.training import tiny


def trained(config: Config | None = None, rule=None, rate=2.0, **indices) -> Trained:
  """The tiny network with statistics and offsets that are not where they start."""
  config = config or tiny.experiment()
  if rule is not None:
    planner = RatePlanner(rate=rate, rule=rule)
    config = dataclasses.replace(config, planner=planner)
  indices = dataclasses.replace(config.indices, **indices)
  config = dataclasses.replace(config, indices=indices)
  inventory = setup.take_inventory(config, 10)
  plan = setup.make_plan(config, inventory)
  model = setup.build(config, 10, plan)
  images = jnp.zeros((1, *config.data.input_shape))
  shapes = jax.eval_shape(
    lambda key: model.init(key, images, train=False), jax.random.key(0)
  )
  random = np.random.default_rng(0)

  def drawn(path, leaf):
    name, normal = path[-1].key, random.normal(size=leaf.shape)
    if leaf.dtype == bool:
      return np.zeros(leaf.shape, bool)
    if name == "var":
      return (0.5 + normal**2).astype(np.float32)
    # Offsets far outside of their ring, and between its cells.
    factor = 7.0 if path[0].key == "routing" else 0.3
    return (factor * normal).astype(np.float32)

  variables = {
    name: jax.tree_util.tree_map_with_path(drawn, {name: shapes.get(name, {})})[name]
    for name in ("params", "batch_stats", "routing")
  }
  classes = tuple(f"class {index}" for index in range(10))
  return Trained(model, variables, plan, config, classes, 7, "raw")


def shipped(*arguments, **options) -> Trained:
  """The same, as it ships."""
  return inference_model.shipped(trained(*arguments, **options))


def images(network: Trained, count: int = 3) -> np.ndarray:
  """A batch of noise."""
  shape = (count, *network.config.data.input_shape)
  return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def logits(network: Trained, batch: np.ndarray) -> np.ndarray:
  """What a network says of a batch."""
  return np.asarray(network.model.apply(network.variables, batch, train=False))


@dataclasses.dataclass(frozen=True)
class Pruned(LowRankRule):
  """Low ranks without two of the inputs, of one size."""

  kind: ClassVar[str] = "pruned_low_rank_of_tests"
  is_fixed: ClassVar[bool] = True

  def at(self, use, stored, below=0.01):
    """See `Rule.at`."""
    return LowRank(min(use.shape[-2:]) // 2, without=(0, use.shape[-2] // 2))


PRUNED = Pruned()
BLOCKWISE = EpitomeRule(routing="blockwise", scaled=True, margin=1, side="both")
