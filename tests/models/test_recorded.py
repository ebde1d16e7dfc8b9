"""Networks keep the names of their variables, and what a seed gives them.

`recorded.json` was written before blocks were declared. Trained networks, plans and
compact files name parameters by path, and runs resume from a seed, so neither names nor
initial values may change. `python -m tests.models.test_recorded` writes it anew.
"""

import hashlib
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_epitome import models
from neural_epitome.cost import inventory
from neural_epitome.epitome import plan as plans
from neural_epitome.models import nse_networks
from neural_epitome.models.chain import ChainBlock
from neural_epitome.models.multi_branch import MultiBranchConfig, Stage
from neural_epitome.spaces import SupernetConfig
from tests.spaces.tiny import SPACE

FILE = Path(__file__).parent / "recorded.json"
CHAIN = models.ChainConfig(
  blocks=(
    ChainBlock(16, 24, window=5, operation="squeeze_excite", shortcut=True),
    ChainBlock(24, 32, stride=2),
    ChainBlock(24, 0),
    ChainBlock(12, 0, stride=2),
    ChainBlock(24, 32, operation="squeeze_excite", shortcut=True),
  ),
  stem=16,
  head=32,
)
WHOLE = {
  "mobilenet_v2": models.MobileNetV2Config(),
  "efficientnet_b1_grouped": models.EfficientNetConfig(variant="b1", grouped_se=True),
  "resnet8": models.ResNetConfig(depth=8),
  "resnet50": models.ResNetConfig(depth=50),
  "nsenet_gpu": nse_networks.NSENET_GPU,
  "chain": CHAIN,
  "supernet": SupernetConfig(space=SPACE),
}
SMALL = {
  "mobilenet_v2": models.MobileNetV2Config(
    stages=((1, 16, 1), (4, 16, 2)), stage_strides=(1, 2), stem=16, head=32
  ),
  "mobilenet_v2_multiplier": models.MobileNetV2Config(
    stages=((4, 16, 2),), stage_strides=(2,), stem=16, head=32, depth_multiplier=2
  ),
  "mobilenet_v2_unsummed": models.MobileNetV2Config(
    stages=((4, 16, 1),),
    stage_strides=(2,),
    stem=16,
    head=32,
    depth_multiplier=2,
    sums_multiplied=False,
  ),
  "efficientnet": models.EfficientNetConfig(
    width=0.25, depth=0.3, grouped_se=True, classifier_groups=2
  ),
  "resnet8": models.ResNetConfig(depth=8, width=0.5, dropout=0.2),
  "resnet50": models.ResNetConfig(
    depth=50, width=0.125, stem_stride=1, pool_stride=1, stage_strides=(1, 2, 1, 2)
  ),
  "chain": CHAIN,
  "branches_madds": MultiBranchConfig(
    cells=((0,), (4, 9, 15), (2,)), stages=(Stage(24, 2, 1),), head=32
  ),
  "branches_grouped": MultiBranchConfig(
    pool="grouped", cells=((), (21, 30)), stages=(Stage(16, 2, 0),), head=32
  ),
  "branches_gpu": MultiBranchConfig(
    pool="gpu", cells=((9,), (11, 14), (10,)), stages=(Stage(16, 2, 1),), head=32
  ),
  "supernet_ordered": SupernetConfig(space=SPACE),
  "supernet_sandwich": SupernetConfig(space=SPACE, sampler="sandwich"),
}


def tree(config: models.ModelConfig) -> dict:
  """Digests of the kernels, and of all variables with their shapes."""
  module = models.create(config, 10)
  images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
  shapes = jax.eval_shape(module.init, jax.random.key(0), images)
  rows = [
    f"{'/'.join(key.key for key in path)} {list(leaf.shape)}"
    for path, leaf in jax.tree_util.tree_leaves_with_path(shapes)
  ]
  digest = hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]
  kernels = inventory.take(module, (32, 32, 3)).kernels
  return {"fingerprint": plans.fingerprint(kernels), "variables": digest}


def logits(config: models.ModelConfig) -> list:
  """In training mode, with the parameters and the noise that a seed gives."""
  module = models.create(config, 4)
  images = jax.random.normal(jax.random.key(5), (3, 16, 16, 3))
  keys = jax.random.split(jax.random.key(9), 3)

  @jax.jit
  def started() -> jax.Array:
    variables = module.init(jax.random.key(7), images)
    return module.apply(variables, images, True, keys, mutable=["batch_stats"])[0]

  return started().tolist()


@pytest.fixture(scope="module")
def recorded() -> dict:
  return json.loads(FILE.read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("name", WHOLE)
def test_variables_have_the_names_and_shapes_they_had(recorded, name):
  assert tree(WHOLE[name]) == recorded["variables"][name]


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_seed_gives_the_logits_it_gave(recorded, name):
  expected = np.array(recorded["logits"][name])
  scale = np.abs(expected).max()
  assert scale > 1e-3
  # Batch norms of three images enlarge what compilers round differently.
  np.testing.assert_allclose(logits(SMALL[name]), expected, atol=1e-3 * scale)


if __name__ == "__main__":
  outputs = {
    "variables": {name: tree(config) for name, config in WHOLE.items()},
    "logits": {name: logits(config) for name, config in SMALL.items()},
  }
  FILE.write_text(json.dumps(outputs, indent=1) + "\n", "utf-8")
