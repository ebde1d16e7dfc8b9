"""Networks of cells: shapes fit whatever the graph, and cost what `CellPrices` says."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_epitome import codec, models
from neural_epitome.cost import inventory
from neural_epitome.errors import UserError
from neural_epitome.models import CellNetworkConfig, ModelConfig, cell_files
from neural_epitome.models.cell_network import EdgeModule
from neural_epitome.models.cell_operations import NAMES, OPERATIONS
from neural_epitome.spaces.cell_prices import CellFrame, CellPrices
from neural_epitome.spaces.cell_states import CellSpace

FRAME = CellFrame(cells=3, channels=4, image_size=9)


def network(pair):
  return CellNetworkConfig.of(pair, FRAME.cells, FRAME.channels)


def shapes(config):
  module = models.create(config, 5)
  images = jax.ShapeDtypeStruct((2, 9, 9, 3), jnp.float32)
  return jax.eval_shape(
    lambda x: module.init_with_output(jax.random.key(0), x, train=True), images
  )


@pytest.mark.slow
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
  "operation", [o for o in OPERATIONS if o.type != "null"], ids=lambda o: o.name
)
def test_every_operation_keeps_channels_and_halves_the_size_alike(operation, stride):
  edge = EdgeModule(operation, 5, stride, models.make_layers())
  for size in (8, 9):
    out = jax.eval_shape(
      lambda x: edge.init_with_output(jax.random.key(0), x, True)[0],
      jax.ShapeDtypeStruct((2, size, size, 5), jnp.float32),
    )
    assert out.shape == (2, -(-size // stride), -(-size // stride), 5)


@pytest.mark.slow
@pytest.mark.parametrize("outputs", ["all", "loose"])
def test_shapes_of_random_graphs_fit_and_prices_are_those_of_the_network(outputs):
  """Of convolutions; pools and plain skips have no layer with weights."""
  space = CellSpace(nodes=3, null=0.3, outputs=outputs, frame=FRAME)
  prices, random = CellPrices(FRAME), np.random.default_rng(0)
  for _ in range(6):
    pair = space.draw(random)
    config = network(pair)
    logits, _ = shapes(config)
    assert logits.shape == (2, 5)
    kernels = inventory.take(models.create(config, 5), (9, 9, 3)).kernels
    own = [use for use in kernels if "_edge_" in use.path]
    price = prices.of(pair)
    assert sum(use.size for use in own) == price["parameters"]
    without = sum(
      {"pool": operation.kernel**2, "skip": 1}.get(operation.type, 0)
      * place.channels
      * size**2
      for place, size in FRAME.places
      for edge in (pair.reduction if place.is_reduction else pair.normal).live
      for operation in [OPERATIONS[edge.operation]]
      if not (operation.type == "skip" and place.is_reduction and edge.source < 2)
    )
    assert sum(use.madds for use in own) == price["madds"] - without


@pytest.mark.parametrize("name", cell_files.names())
def test_the_published_cells_survive_json_as_networks(name):
  config = network(cell_files.load_cells(name))
  assert codec.decode(ModelConfig, codec.encode(config)) == config
  assert config.pair == cell_files.load_cells(name)


@pytest.mark.slow
def test_every_weight_of_a_network_is_trained():
  rows = dataclasses.replace(
    CellNetworkConfig().normal,
    edges=(
      *((0, 2, "sep_conv_3x3"), (1, 2, "skip"), (1, 3, "avg_pool_3x3")),
      *((2, 3, "dil_conv_3x3"), (3, 4, "conv_1x1"), (0, 4, "max_pool_3x3")),
    ),
    outputs=(4, 2),
  )
  module = models.create(CellNetworkConfig(rows, rows, cells=2, channels=2), 5)
  images = jax.random.normal(jax.random.key(1), (4, 8, 8, 3))
  variables = jax.jit(module.init)(jax.random.key(0), images)

  def loss(params):
    rest = {name: value for name, value in variables.items() if name != "params"}
    logits, _ = module.apply(
      {"params": params, **rest}, images, train=True, mutable=["batch_stats"]
    )
    return jnp.sum(logits[:, 0] ** 2) + jnp.sum(logits)

  gradient = jax.jit(jax.grad(loss))(variables["params"])
  assert all(jnp.any(leaf != 0) for leaf in jax.tree.leaves(gradient))


def test_a_network_whose_edges_are_no_cell_is_an_error_of_one_line():
  bad = dataclasses.replace(CellNetworkConfig().normal, edges=((0, 2, "conv_9x9"),))
  config = dataclasses.replace(CellNetworkConfig(), normal=bad)
  with pytest.raises(UserError, match=r"config.model.normal.edges\[0\].*conv_9x9"):
    models.create(config, 5)


@pytest.mark.slow
def test_an_edge_that_nothing_depends_on_has_no_layer():
  rows = dataclasses.replace(
    CellNetworkConfig().normal,
    edges=((0, 2, NAMES[0]), (2, 3, NAMES[0]), (1, 3, "null")),
    outputs=(2, 3),
  )
  only = dataclasses.replace(rows, outputs=(2,))
  for normal, count in ((rows, 2), (only, 1)):
    config = CellNetworkConfig(normal, normal, cells=3, channels=2)
    kernels = inventory.take(models.create(config, 5), (8, 8, 3)).kernels
    assert sum("cell_0_edge_" in use.path for use in kernels) == count
