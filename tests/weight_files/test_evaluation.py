"""A compact file beside the weights that it was made of, in whatever file they are."""

import numpy as np
import pytest

from neural_epitome.compression import kernel_error
from neural_epitome.errors import UserError
from neural_epitome.state_dicts import weights_file
from neural_epitome.weight_files import comparing, evaluation, expanding
from tests.weight_files import networks


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """A network as torch saves it, and its compact file, one kernel as it was."""
  folder = tmp_path_factory.mktemp("evaluation")
  path = networks.save(folder / "network.pth", networks.state())
  comparison = comparing.compare(path, keep=["half.weight"], quiet=True)
  comparison.within("6x").save(folder / "small.safetensors")
  return folder


@pytest.mark.slow
def test_errors_are_those_of_the_kernels_in_full(folder):
  file = weights_file.read(folder / "network.pth")
  small, weights = evaluation.beside(folder / "small.safetensors", file)
  assert small.errors.keys() == file.layouts.keys() - {"half.weight"}
  expanded = expanding.read(folder / "small.safetensors").arrays
  for name, array in weights.items():
    assert array.shape == file.arrays[name].shape
    np.testing.assert_array_equal(array, expanded[name])
  for name, error in small.errors.items():
    to_ours = file.layouts[name].to_ours
    before, now = to_ours(file.arrays[name]), to_ours(weights[name])
    assert error == pytest.approx(kernel_error.error(before, now) ** 0.5)
    assert 0.001 < error < 1


@pytest.mark.slow
def test_the_weights_may_lie_in_another_file_with_other_axes(folder):
  arrays = networks.state()
  # As a Flax user has them: (inputs, outputs), windows first.
  turned = {
    name.replace("weight", "kernel") if array.ndim > 1 else name: array.transpose(
      *range(2, array.ndim), 1, 0
    )
    if array.ndim > 1
    else array
    for name, array in arrays.items()
  }
  networks.save(folder / "turned.npz", turned, "npz")
  file = weights_file.read(folder / "turned.npz", "flax")
  renamed = {
    name.replace("kernel", "weight"): array for name, array in file.arrays.items()
  }
  layouts = {n.replace("kernel", "weight"): one for n, one in file.layouts.items()}
  other = weights_file.WeightsFile(file.form, renamed, layouts, file.nbytes)
  path = folder / "small.safetensors"
  small, weights = evaluation.beside(path, other)
  same = evaluation.beside(path, weights_file.read(folder / "network.pth"))
  assert small.errors == pytest.approx(same.small.errors)
  for name, array in weights.items():
    assert array.shape == renamed[name].shape


@pytest.mark.slow
@pytest.mark.parametrize(
  ("change", "words"),
  [
    (lambda a: a | {"new.weight": np.ones((9, 9), np.float32)}, "has no such array"),
    (lambda a: {n: v for n, v in a.items() if n != "line.weight"}, "a kernel more"),
    (lambda a: a | {"line.weight": a["line.weight"][:-1]}, "has it of shape"),
    (lambda a: a | {"conv.bias": a["conv.bias"][:-1]}, "has it of shape"),
  ],
)
def test_other_weights_are_refused_by_the_array_that_differs(folder, change, words):
  networks.save(folder / "other.pth", change(networks.state()))
  with pytest.raises(UserError, match=words) as caught:
    evaluation.beside(
      folder / "small.safetensors", weights_file.read(folder / "other.pth")
    )
  assert "\n" not in str(caught.value)
