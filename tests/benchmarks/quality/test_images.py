"""Sheets on the device: as they were, and needed once only."""

import numpy as np
import pytest

from benchmarks.quality import images
from neural_epitome.errors import UserError
from tests.data.cifar100_sheets import write_sheets


def test_sheets_may_arrive_one_after_the_other(tmp_path):
  cache, sheets = tmp_path / "cache", {}
  for name in ("train-0", "train-1"):
    sheets |= write_sheets(tmp_path / name, (name,), rows=2, columns=3)
    images.decode(tmp_path / name, cache, (*images.TRAIN, images.TEST))
  loaded = images.load(None, cache, ("train-0", "train-1"))
  for index, array in enumerate((loaded.image, loaded.label)):
    parts = [sheets[name][index] for name in ("train-0", "train-1")]
    np.testing.assert_array_equal(array, np.concatenate(parts))
  assert loaded.image.dtype == np.uint8
  with pytest.raises(UserError, match=r"train-2, test: neither in --data=None"):
    images.load(None, cache, ("train-1", "train-2", "test"))
