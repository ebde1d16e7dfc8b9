"""The program in the file answers as the network does, for every platform."""

import jax
import numpy as np
import pytest

from neural_epitome.epitome.generators import EpitomeRule
from neural_epitome.export import program, stablehlo
from tests.export import networks


@pytest.mark.slow
@pytest.mark.parametrize("execution", ["fold", "materialise", "decode"])
def test_a_program_answers_for_any_batch_without_the_package(tmp_path, execution):
  path = tmp_path / "network.stablehlo"
  network = networks.shipped(rule=EpitomeRule(side="both"))
  stablehlo.write(path, program.run_as(network, execution))
  exported = jax.export.deserialize(bytearray(path.read_bytes()))
  assert exported.platforms == ("cpu", "cuda", "tpu")
  for count in (1, 5):
    batch = networks.images(network, count)
    logits = np.asarray(exported.call(batch))
    np.testing.assert_allclose(logits, networks.logits(network, batch), atol=1e-5)
