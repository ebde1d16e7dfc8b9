"""What is one array under two names is stored once, and comes back as one."""

import numpy as np
import pytest

import neural_epitome as ne
from neural_epitome.compression import compact_reader
from neural_epitome.errors import UserError
from neural_epitome.weight_files import comparing, evaluation, expanding

torch = pytest.importorskip("torch")


class Tied(torch.nn.Module):
  def __init__(self):
    super().__init__()
    self.embed = torch.nn.Embedding(40, 12)
    self.decoder = torch.nn.Linear(12, 40, bias=False)
    self.decoder.weight = self.embed.weight
    self.register_buffer("ids", torch.arange(5)[None])


@pytest.fixture(scope="module")
def source(tmp_path_factory):
  torch.manual_seed(0)
  path = tmp_path_factory.mktemp("tied") / "network.pth"
  torch.save(Tied().half().state_dict(), path)
  return path


@pytest.fixture(scope="module")
def comparison(source):
  return comparing.compare(source, quiet=True)


@pytest.mark.slow
def test_it_is_stored_once_and_comes_back_shared(tmp_path, source, comparison):
  small = comparison.within("900B")
  small.save(tmp_path / "small.safetensors")
  assert [*small.plan.kernels] == ["embed.weight"]
  stored = compact_reader.read(tmp_path / "small.safetensors").parameters()
  assert "decoder.weight" not in stored
  back = torch.load(
    ne.expand_file(tmp_path / "small.safetensors", tmp_path / "back.pth"),
    weights_only=True,
  )
  Tied().load_state_dict(back, strict=True)
  assert back["embed.weight"].data_ptr() == back["decoder.weight"].data_ptr()
  assert {one.dtype for one in back.values()} == {torch.float16, torch.int64}
  for kind in ("safetensors", "npz", "msgpack"):
    path = ne.expand_file(tmp_path / "small.safetensors", tmp_path / kind, kind)
    again = comparing.weights_file.read(path).arrays
    np.testing.assert_array_equal(again["embed.weight"], again["decoder.weight"])
  beside = evaluation.beside(tmp_path / "small.safetensors", comparison.file)
  assert beside.weights.keys() == comparison.file.arrays.keys()
  assert beside.small.errors.keys() == small.errors.keys()
  assert expanding.is_of_weights(tmp_path / "small.safetensors")


@pytest.mark.slow
def test_a_score_is_given_the_weights_under_every_name(comparison):
  def score(weights):
    assert weights.keys() == comparison.file.arrays.keys()
    np.testing.assert_array_equal(weights["embed.weight"], weights["decoder.weight"])
    return 1.0

  comparison.sensitivities(score, quiet=True)


def test_keeping_any_of_its_names_keeps_it(source):
  with pytest.raises(UserError, match="no kernel"):
    comparing.compare(source, keep=["decoder.*"], quiet=True)


def test_a_pattern_that_keeps_nothing_is_refused(source):
  with pytest.raises(UserError, match=r"'decodr.weight' matches no kernel.*decoder"):
    comparing.compare(source, keep=["decodr.weight"], quiet=True)
