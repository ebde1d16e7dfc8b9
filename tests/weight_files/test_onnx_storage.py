"""A budget of an ONNX file is met by that file, with choices that suit it."""

import numpy as np
import pytest

import neural_epitome as ne
from neural_epitome.errors import UserError
from neural_epitome.weight_files import comparing, onnx_storage

onnx = pytest.importorskip("onnx")
from tests.weight_files import graphs, networks  # noqa: E402


@pytest.fixture(scope="module")
def source(tmp_path_factory):
  folder = tmp_path_factory.mktemp("storage")
  return graphs.save(folder / "source.onnx", graphs.pictures())


@pytest.fixture(scope="module")
def comparison(source):
  return comparing.compare(source, format="onnx", quiet=True)


def mean_square(small):
  return float(np.mean(np.square(list(small.errors.values()))))


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [4, 7, 10])
def test_the_file_itself_is_as_small_as_is_asked_for(
  source, comparison, ratio, tmp_path
):
  small = comparison.within(f"{ratio}x")
  onnx_storage.save(small, tmp_path / "small.onnx", source)
  size = (tmp_path / "small.onnx").stat().st_size
  assert size == small.totals.stored_bytes <= source.stat().st_size / ratio
  assert size > 0.8 * source.stat().st_size / ratio
  onnx.checker.check_model(str(tmp_path / "small.onnx"))


@pytest.mark.slow
def test_it_loses_less_than_a_compact_file_that_is_exported(
  source, comparison, tmp_path
):
  compact = ne.compress_file(source, "9x", quiet=True)
  onnx_storage.save(compact, tmp_path / "small.onnx", source)
  size = (tmp_path / "small.onnx").stat().st_size
  small = comparison.within(f"{size} B")
  assert small.totals.stored_bytes <= size
  assert mean_square(small) < 0.8 * mean_square(compact)


def test_other_weights_and_formats_are_refused(tmp_path, source):
  path = networks.save(tmp_path / "network.npz", networks.state(), "npz")
  with pytest.raises(UserError, match="is of the weights of an ONNX graph"):
    comparing.compare(path, format="onnx", quiet=True)
  with pytest.raises(UserError, match="must be 'compact' or 'onnx'"):
    comparing.compare(source, format="c", quiet=True)
  old = graphs.save(tmp_path / "old.onnx", _of_opset(graphs.pictures(), 9))
  with pytest.raises(UserError, match="of opset 9"):
    comparing.compare(old, format="onnx", quiet=True)


def _of_opset(model, opset):
  model.opset_import[0].version = opset
  return model
