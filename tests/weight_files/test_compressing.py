"""A file of weights becomes a file of the size that was asked for."""

import numpy as np
import pytest

import neural_epitome as ne
from neural_epitome.compression import compact_reader
from neural_epitome.errors import UserError
from neural_epitome.state_dicts import weights_file
from neural_epitome.weight_files import comparing
from tests.weight_files import networks

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source(tmp_path_factory):
  path = tmp_path_factory.mktemp("source") / "network.pth"
  return networks.save(path, networks.state())


@pytest.fixture(scope="module")
def comparison(source):
  return comparing.compare(source, quiet=True)


@pytest.mark.parametrize("budget", ["4x", "8x", "9000B"])
def test_the_budget_is_of_the_whole_file_and_is_kept(
  tmp_path, source, comparison, budget
):
  small = comparison.within(budget)
  small.save(tmp_path / "small.safetensors")
  size = (tmp_path / "small.safetensors").stat().st_size
  limit = source.stat().st_size / int(budget[0]) if budget[-1] == "x" else 9000
  assert size == small.totals.stored_bytes
  assert 0.85 * limit < size <= limit


def test_fewer_bytes_lose_more(comparison):
  errors = [
    sum(error**2 for error in comparison.within(budget).errors.values())
    for budget in ("3x", "6x", "12x")
  ]
  assert errors[0] < errors[1] < errors[2]
  assert errors[0] < 0.01


def test_kernels_are_here_as_their_layouts_say(source, comparison):
  small = comparison.within("3x")
  tree, file = small.expand(small.compact), weights_file.read(source)
  assert tree["line.weight"].shape == (32, 16, 24)
  assert tree["head.weight"].shape == (24, 300)
  for name, layout in file.layouts.items():
    made = layout.from_ours(np.asarray(tree[name]), file.arrays[name].shape)
    error = np.linalg.norm(made - file.arrays[name]) / np.linalg.norm(file.arrays[name])
    assert error < 0.15, name


def test_what_is_no_kernel_is_kept_to_three_digits(source, comparison):
  small = comparison.within("8x")
  tree, arrays = small.expand(small.compact), weights_file.read(source).arrays
  for name in ("conv.bias", "norm.weight", "norm.running_var"):
    np.testing.assert_allclose(tree[name], arrays[name], rtol=1e-3)


def test_a_kernel_that_is_kept_is_the_same(source):
  small = ne.compress_file(source, "2x", keep=["head.*"], quiet=True)
  tree, arrays = small.expand(small.compact), weights_file.read(source).arrays
  assert "head.weight" not in small.plan.kernels
  np.testing.assert_allclose(
    np.asarray(tree["head.weight"]).T, arrays["head.weight"], rtol=1e-3, atol=1e-6
  )


def test_a_kernel_whose_error_costs_more_gets_more_bits(comparison, source):
  arrays = weights_file.read(source).arrays

  def score(weights):
    assert weights.keys() == arrays.keys()
    assert all(weights[name].shape == arrays[name].shape for name in arrays)
    return -float(np.sum((weights["line.weight"] - arrays["line.weight"]) ** 2))

  sensitivity = comparison.sensitivities(score, quiet=True)
  assert max(sensitivity, key=sensitivity.__getitem__) == "line.weight"
  plain, weighted = comparison.within("10x"), comparison.within("10x", sensitivity)
  assert weighted.errors["line.weight"] < plain.errors["line.weight"]


def test_what_was_measured_is_left_aside_where_it_does_worse(comparison, source):
  arrays = weights_file.read(source).arrays
  misled = dict.fromkeys(comparison.choosing.tables, 1.0) | {"line.weight": 1e4}

  def score(weights, names):
    return -sum(float(np.sum((weights[n] - arrays[n]) ** 2)) for n in names)

  def within(*names):
    return comparison.within("10x", misled, lambda weights: score(weights, names))

  def made(small):
    return comparison.weights(small)["head.weight"].tobytes()

  even, weighted = comparison.within("10x"), comparison.within("10x", misled)
  assert made(even) != made(weighted)
  assert made(within("line.weight")) == made(weighted)
  assert made(within("head.weight", "conv.weight")) == made(even)
  ruined = comparison.within("10x", misled, lambda weights: float("nan"))
  assert ruined.totals.stored_bytes <= even.totals.stored_bytes * 1.1


def test_a_score_that_is_no_number_is_refused(comparison):
  with pytest.raises(UserError, match="evaluate gave nan"):
    comparison.sensitivities(lambda weights: float("nan"), quiet=True)


def test_numpy_alone_reads_what_was_written(tmp_path, comparison):
  small = comparison.within("8x")
  small.save(tmp_path / "small.safetensors")
  arrays = compact_reader.read(tmp_path / "small.safetensors").parameters()
  for name, array in small.expand(small.compact).items():
    np.testing.assert_allclose(arrays[name], array, rtol=1e-5, atol=1e-6)


def test_a_budget_that_cannot_be_met_names_the_smallest(comparison):
  with pytest.raises(UserError, match="the smallest file"):
    comparison.within("100B")


@pytest.mark.parametrize("budget", ["10", "0x", "4M parameters", "-3x"])
def test_a_budget_that_is_no_size_of_a_file_is_refused(comparison, budget):
  with pytest.raises(UserError, match="budget"):
    comparison.within(budget)


def test_a_file_without_kernels_is_refused(tmp_path):
  path = networks.save(tmp_path / "it.pth", {"bias": np.ones(8, np.float32)})
  with pytest.raises(UserError, match="no kernel"):
    comparing.compare(path)


def test_integers_that_do_not_fit_are_refused_by_name(tmp_path):
  arrays = networks.state() | {"seed": np.asarray(2**40)}
  path = networks.save(tmp_path / "it.pth", arrays)
  with pytest.raises(UserError, match="'seed' has integers"):
    comparing.compare(path)
