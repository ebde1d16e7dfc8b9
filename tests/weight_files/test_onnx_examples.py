"""Examples for a graph are checked at the edge, and every mistake gets one line."""

import zipfile
from typing import Any, NamedTuple

import numpy as np
import pytest

from neural_epitome.errors import UserError
from neural_epitome.weight_files import onnx_examples


class Argument(NamedTuple):
  """As onnxruntime tells of an input."""

  shape: list[Any]
  type: str = "tensor(float)"


ANY = {"x": Argument(["N", 3])}


def save(folder, **arrays):
  np.savez(folder / "it.npz", **arrays)
  return folder / "it.npz"


def test_any_number_of_examples_is_cut_into_calls(tmp_path):
  x = np.random.default_rng(0).standard_normal((150, 3))
  path = save(tmp_path, x=x, labels=np.arange(150))
  found = onnx_examples.read(path, ANY)
  assert [len(call["x"]) for call in found.calls] == [64, 64, 22]
  assert found.calls[0]["x"].dtype == np.float32
  np.testing.assert_allclose(np.concatenate([c["x"] for c in found.calls]), x)
  assert found.labels is not None
  assert (found.count, len(found.labels)) == (150, 150)


def test_a_graph_of_a_fixed_batch_gets_batches_of_it(tmp_path):
  path = save(tmp_path, x=np.ones((6, 3)), rate=np.asarray(16_000))
  arguments = {"x": Argument([2, 3]), "rate": Argument([], "tensor(int64)")}
  calls = onnx_examples.read(path, arguments).calls
  assert [call["x"].shape for call in calls] == [(2, 3)] * 3
  assert all(call["rate"] == 16_000 for call in calls)


def test_inputs_without_a_common_axis_are_one_call(tmp_path):
  path = save(tmp_path, x=np.ones((5, 3)), state=np.zeros((2, 5, 4)))
  arguments = {"x": Argument(["N", 3]), "state": Argument([2, "N", 4])}
  found = onnx_examples.read(path, arguments)
  assert len(found.calls) == found.count == 1


@pytest.mark.parametrize(
  ("arrays", "arguments", "words"),
  [
    ({"y": np.ones((4, 3))}, ANY, "has no array x, an input; it has: y"),
    ({"x": np.ones((4, 3)), "z": np.ones(3)}, ANY, "an array z, which is neither"),
    ({"x": np.ones((4, 5))}, ANY, r"x has shape \[4, 5\]; the graph takes \[\?, 3\]"),
    ({"x": np.ones(3)}, ANY, r"x has shape \[3\]"),
    ({"x": np.full((4, 3), np.nan)}, ANY, "x has values that are not finite"),
    ({"x": np.full((4, 3), "a")}, ANY, "x must be of type float32, not <U1"),
    ({"x": np.ones((4, 3))}, {"x": Argument([2, 3], "tensor(int64)")}, "of type int64"),
    ({"x": np.ones((5, 3))}, {"x": Argument([2, 3])}, "5 examples, and the graph ta"),
    ({"x": np.ones((4, 3))}, {"x": Argument([4, 3], "tensor(string)")}, "not read"),
    ({"x": np.ones((4, 3)), "labels": np.ones(3, int)}, ANY, "labels must be 4 integ"),
    ({"x": np.ones((4, 3)), "labels": np.ones(4)}, ANY, "not float64 of shape"),
  ],
)
def test_what_does_not_fit_is_said_in_one_line(tmp_path, arrays, arguments, words):
  with pytest.raises(UserError, match=words) as error:
    onnx_examples.read(save(tmp_path, **arrays), arguments)
  assert "\n" not in str(error.value)


def test_a_member_that_is_no_array_is_refused(tmp_path):
  path = save(tmp_path, x=np.ones((4, 3)))
  with zipfile.ZipFile(path, "a") as archive:
    archive.writestr("labels.npy", b"what is no array")
  with pytest.raises(UserError, match="labels is no array"):
    onnx_examples.read(path, ANY)


def test_a_file_of_another_kind_is_refused(tmp_path):
  with pytest.raises(UserError, match="does not exist"):
    onnx_examples.read(tmp_path / "it.npz", ANY)
  np.save(tmp_path / "it.npy", np.ones(3))
  with pytest.raises(UserError, match=r"it\.npy is no \.npz"):
    onnx_examples.read(tmp_path / "it.npy", ANY)
  np.savez(tmp_path / "it.npz", x=np.array([{}], object))
  with pytest.raises(UserError, match=r"it\.npz is no \.npz"):
    onnx_examples.read(tmp_path / "it.npz", ANY)
