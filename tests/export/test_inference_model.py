"""Shipping changes no answer and leaves nothing behind that only training needs."""

import dataclasses

import jax
import numpy as np
import pytest

from neural_epitome.epitome import flat_variables, routing
from neural_epitome.epitome.generators import SharedEpitomeRule
from neural_epitome.export import inference_model
from tests.export import networks

pytestmark = pytest.mark.slow


def frozen(network):
  kept = network.variables | {"routing": routing.freeze(network.variables["routing"])}
  return dataclasses.replace(network, variables=kept)


@pytest.mark.parametrize("source", ["learner", "free", "fixed"])
def test_a_shipped_network_answers_as_the_frozen_one_does(source):
  network = networks.trained(rule=networks.BLOCKWISE, source=source)
  batch = networks.images(network)
  logits = networks.logits(inference_model.shipped(network), batch)
  expected = networks.logits(frozen(network), batch)
  np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)


def test_learners_and_statistics_do_not_ship():
  shipped = inference_model.shipped(networks.trained(source="learner"))
  assert not any(
    "index" in name for name in flat_variables.parameters(shipped.variables)
  )
  statistics = jax.tree_util.tree_leaves_with_path(shipped.variables["batch_stats"])
  epsilon = shipped.config.norm.epsilon
  for path, leaf in statistics:
    assert (leaf == (0.0 if path[-1].key == "mean" else np.float32(1 - epsilon))).all()


def test_offsets_are_whole_cells_of_the_epitome_and_come_back():
  network = inference_model.shipped(
    networks.trained(rule=networks.BLOCKWISE, source="free")
  )
  offsets = flat_variables.offsets(network.plan, network.variables)
  assert set(offsets) == set(network.plan.compressed)
  for path, kernel in network.plan.kernels.items():
    for axis, cells in kernel.generator.start_cells(kernel.shape).items():
      value = offsets[path][axis]
      assert axis == "spatial" or (value == np.round(value)).all()
      assert (value >= 0).all()
      assert (value <= np.asarray(cells) - 1).all()
  again = flat_variables.with_offsets(offsets)
  jax.tree.map(np.testing.assert_array_equal, again["conv_1"]["map"],
               network.variables["routing"]["conv_1"]["map"])  # fmt: skip


def test_a_network_without_offsets_has_no_routing():
  network = networks.trained(rule=SharedEpitomeRule(), source="fixed")
  assert flat_variables.offsets(network.plan, network.variables) == {}
  assert flat_variables.with_offsets({}) == {}
