"""Every arm gives back all arrays of a file, in the shapes that the network reads."""

import numpy as np
import pytest

from benchmarks.compress import crepe_arms
from benchmarks.compress import crepe_network as network
from neural_epitome.state_dicts import weights_file


@pytest.mark.slow
def test_rivals_give_back_every_array_and_less_error_for_more_bytes(tmp_path):
  random = np.random.default_rng(0)
  arrays = {
    "conv.weight": random.normal(size=(24, 16, 8, 1)).astype(np.float32),
    "conv.bias": random.normal(size=24).astype(np.float32),
    "dense.weight": random.normal(size=(40, 48)).astype(np.float32),
    "norm.num_batches_tracked": np.asarray(7, np.int64),
  }
  np.savez(tmp_path / "small.npz", **arrays)
  file = weights_file.read(tmp_path / "small.npz")
  expected = network.in_our_layout(file, file.arrays)
  assert expected["conv.weight"].shape == (8, 1, 16, 24)
  points = {}
  for method, _, compress in crepe_arms.arms(
    tmp_path / "small.npz", file, None, [5, 8]
  ):
    if method.startswith("best"):
      continue
    read, nbytes = compress()
    assert {n: a.shape for n, a in read.items()} == {
      n: a.shape for n, a in expected.items()
    }
    left = sum(np.sum((read[n] - expected[n]) ** 2) for n in file.layouts)
    points.setdefault(method, []).append((nbytes, left))
  assert len(points) == 6
  for method in ("round to nearest", "palette", "uniform scalars", "low rank"):
    errors = [error for _, error in sorted(points[method])]
    assert errors == sorted(errors, reverse=True)
