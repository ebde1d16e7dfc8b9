"""The compact file: what goes in comes out, in as many bytes as it is said to take."""

import ast
import base64
import dataclasses
import json
import os
import sys
import tracemalloc
import zlib
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

import neural_epitome as ne
from neural_epitome.compression import compact_file, compact_reader
from neural_epitome.cost import totals
from neural_epitome.epitome import flat_variables, rounding
from neural_epitome.epitome.generators import (
  ChannelEpitomeRule,
  EpitomeRule,
  HashedRule,
  LowRankRule,
  QuantisedRule,
  SharedEpitomeRule,
)
from neural_epitome.epitome.sampling import sample
from neural_epitome.errors import UserError
from neural_epitome.experiment import load_experiment
from neural_epitome.export import compact, inference_model
from neural_epitome.models import ResNetConfig
from neural_epitome.models.mobilenet_v2 import MBCONV
from neural_epitome.planning import BudgetPlanner
from neural_epitome.training import compact_loading, setup
from tests.epitome.strategies import cases
from tests.export import networks
from tests.training import tiny

RULES = {
  "channels": ChannelEpitomeRule(),
  "tile": EpitomeRule(routing="tile"),
  "factorised": EpitomeRule(margin=1),
  "blockwise": networks.BLOCKWISE,
  "shared": SharedEpitomeRule(block=50),
  "low_rank": LowRankRule(),
  "pruned": networks.PRUNED,
  "int8": QuantisedRule(),
  "int3": QuantisedRule(bits=3),
}


MOBILE = dataclasses.replace(
  MBCONV, stages=((2, 16, 1), (2, 16, 1)), stage_strides=(1, 2), stem=16, head=32
)


@pytest.fixture
def path(tmp_path):
  return tmp_path / "network.safetensors"


@pytest.mark.slow
@pytest.mark.parametrize("name", RULES)
def test_a_network_from_its_file_answers_as_the_one_that_was_written(path, name):
  network = networks.shipped(rule=RULES[name])
  compact.write(path, network)
  loaded = ne.load(path)
  batch = networks.images(network)
  expected = networks.logits(network, batch)
  np.testing.assert_allclose(networks.logits(loaded, batch), expected, atol=2e-5)
  assert (loaded.classes, loaded.step, loaded.plan) == (
    network.classes,
    network.step,
    network.plan,
  )


def test_a_file_is_read_by_whom_any_new_file_is(path, tmp_path):
  compact.write(path, networks.shipped())
  (tmp_path / "other").touch()
  assert path.stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.slow
@pytest.mark.parametrize("name", RULES)
def test_numpy_builds_the_kernels_that_the_layers_build(path, name):
  network = networks.shipped(rule=RULES[name])
  compact.write(path, network)
  arrays = compact_reader.read(path).parameters()
  params = flat_variables.parameters(network.variables)
  stored = network.plan.rounded(params)
  for kernel_path, kernel in network.plan.kernels.items():
    layer = network.variables["routing"].get(kernel_path.split("/")[0], {"map": {}})
    tensors = {role: stored[tensor] for role, tensor in kernel.tensors.items()}
    expected = kernel.generator.generate(tensors, layer["map"], kernel.shape)
    np.testing.assert_allclose(arrays.pop(kernel_path), expected, atol=1e-6)
  beside = {k: v for k, v in params.items() if k not in network.plan.tensors}
  assert arrays.keys() == beside.keys()
  for name in beside:
    np.testing.assert_array_equal(arrays[name], beside[name])


@pytest.mark.slow
@settings(max_examples=12)  # each is a program of its own
@given(cases())
def test_numpy_samples_as_the_layers_do_in_every_rank_and_routing(case):
  offsets = {
    axis: np.clip(value, 0, np.subtract(case.generator.shape, case.shape)[:-2])
    if axis == "spatial"
    else np.mod(np.floor(value), case.generator.start_cells(case.shape)[axis])
    for axis, value in jax.device_get(case.offsets).items()
  }
  tensors = {"kernel/epitome": np.asarray(case.epitome)} | {
    f"offsets.{axis}": value if axis == "spatial" else value.astype(np.int32)
    for axis, value in offsets.items()
  }
  spec = {
    "shape": list(case.shape),
    "generator": {"kind": "epitome"},
    "tensors": {"epitome": "kernel/epitome"},
  }
  metadata = {"plan": {"kernels": {"kernel": spec}}}
  kernel = compact_reader.Network(tensors, metadata).kernel("kernel")
  offsets = {axis: value.astype(np.float32) for axis, value in offsets.items()}
  expected = sample(case.epitome, offsets, case.shape)
  np.testing.assert_allclose(kernel, expected, atol=1e-5)


@pytest.mark.slow
@given(st.integers(1, 8), st.sampled_from([1, 7]), st.integers(0, 99))
def test_rounding_is_within_half_a_step_and_bits_come_back(bits, size, seed):
  array = np.random.default_rng(seed).normal(size=(size, 3)).astype(np.float32)
  integers, scale = map(np.asarray, rounding.quantise(array, bits))
  if bits > 1:
    assert np.abs(integers).max() <= 2 ** (bits - 1) - 1
    assert (np.abs(integers * scale - array) <= scale / 2 + 1e-6).all()
  packed = compact_file.pack(rounding.digits(integers, bits), bits)
  assert packed.size == -(-integers.size * bits // 8)
  spec = {"shape": [size, 3], "bits": bits}
  metadata = {"plan": {"tensors": {"x": spec}, "kernels": {}}}
  network = compact_reader.Network({"x": packed, "x.scale": scale}, metadata)
  np.testing.assert_allclose(network.tensor("x"), integers * scale, rtol=1e-6)


@pytest.mark.slow
def test_a_file_is_within_one_percent_of_the_accounting(path):
  network = networks.shipped(load_experiment("mbv2_epitome"))
  inventory = setup.take_inventory(network.config, 10)
  for bits in (32, 4):
    compact.write(path, network, bits)
    price = totals.price(network.plan.narrowed(bits), inventory)
    assert os.path.getsize(path) == pytest.approx(price.stored_bytes, rel=0.01)


@pytest.mark.parametrize("bits", [32, 16, 8, 4])
@pytest.mark.parametrize("name", RULES)
def test_the_file_of_a_small_network_takes_what_is_told_to_the_byte(path, name, bits):
  network = networks.shipped(rule=RULES[name])
  compact.write(path, network, bits)
  assert os.path.getsize(path) == compact.priced(network, bits)


@pytest.mark.slow
def test_a_file_takes_the_bytes_that_its_budget_was(path):
  planner = BudgetPlanner(bytes=400_000, bits=8)
  model = ResNetConfig(depth=8, width=3.0, stem_stride=2)
  config = dataclasses.replace(load_experiment("quick"), model=model, planner=planner)
  compact.write(path, networks.shipped(dataclasses.replace(config, bits=8)), 8)
  assert os.path.getsize(path) == pytest.approx(400_000, rel=0.01)


@pytest.mark.parametrize("bits", [8, 5, 1])
def test_the_epitome_is_rounded_and_never_the_kernel(path, bits):
  network = networks.shipped(rule=networks.BLOCKWISE)
  compact.write(path, network, bits)
  params = flat_variables.parameters(network.variables)
  read_back = compact_reader.read(path)
  for name in network.plan.tensors:
    if name.endswith("/scale"):
      np.testing.assert_array_equal(read_back.tensor(name), params[name])
    else:
      integers, scale = map(np.asarray, rounding.quantise(params[name], bits))
      np.testing.assert_allclose(read_back.tensor(name), integers * scale, rtol=1e-6)
  loaded = flat_variables.parameters(ne.load(path).variables)
  np.testing.assert_array_equal(
    loaded["conv_1/epitome"], read_back.tensor("conv_1/epitome")
  )


def test_a_file_does_not_tell_where_the_data_lay(path):
  network = networks.shipped()
  data = dataclasses.replace(network.config.data, data_dir="/home/somebody/secret")
  config = dataclasses.replace(network.config, data=data)
  compact.write(path, dataclasses.replace(network, config=config))
  metadata = compact_reader.read(path).metadata
  assert "secret" not in json.dumps(metadata)


def test_what_the_reader_cannot_build_is_refused_by_name(path):
  network = networks.shipped(rule=HashedRule())
  with pytest.raises(UserError, match=r"conv_1/kernel is generated by 'hashed'"):
    compact.write(path, network)
  with pytest.raises(UserError, match="bits=12 must be 32 or 16"):
    compact.write(path, networks.shipped(), bits=12)
  assert not path.exists()


def damaged(path, change):
  """Writes a file again after `change(tensors, description)`."""
  raw = path.read_bytes()
  length = int.from_bytes(raw[:8], "little")
  metadata = json.loads(raw[8 : 8 + length])["__metadata__"]
  packed = base64.b64decode(metadata["description"])
  description = json.loads(zlib.decompress(packed))
  tensors = {name: value.copy() for name, value in load_file(path).items()}
  change(tensors, description)
  changed = metadata | {"description": compact_file.packed_text(description)}
  save_file(tensors, path, changed)


def set_offset(tensors, description):
  tensors["int32"][0] = 1000


def set_nan(tensors, description):
  tensors["float32"][0] = np.nan


def set_infinity(tensors, description):
  tensors["float32"][-1] = np.inf


def enlarge(tensors, description):
  description["plan"]["kernels"]["conv_1/kernel"]["shape"] = [2**40, 2**40, 8, 16]


def enlarge_alone(tensors, description):
  description["plan"]["kernels"]["conv_1/kernel"]["shape"] = [3, 3, 2**9, 2**9]


def name_over_lines(tensors, description):
  kernels = description["plan"]["kernels"]
  kernels["a\nkernel"] = kernels.pop("conv_1/kernel") | {"shape": [-1]}


def add_kernel(tensors, description):
  kernels = description["plan"]["kernels"]
  kernels["other/kernel"] = kernels["conv_1/kernel"]


def network_of_a_number(tensors, description):
  description["network"] = 5


def network_of_a_word(tensors, description):
  description["network"] = "abc"


def plan_of_a_list(tensors, description):
  description["plan"]["kernels"] = [1]


def make_negative(tensors, description):
  description["plan"]["kernels"]["conv_1/kernel"]["shape"] = [3, 3, -8, -16]


def rename_kind(tensors, description):
  description["plan"]["kernels"]["conv_1/kernel"]["generator"]["kind"] = "pickle"


def shorten(tensors, description):
  tensors["float32"] = tensors["float32"][:-1].copy()


def lose(tensors, description):
  del tensors["float32"]


def split_otherwise(tensors, description):
  description["parts"]["float32"][0][1] = [2**62, 4]


def swap(tensors, description):
  parts = description["parts"]["float32"]
  parts[0][0], parts[1][0] = parts[1][0], parts[0][0]


def change_model(tensors, description):
  description["network"]["model"]["features"] = 16


def forget(tensors, description):
  del description["network"]


def forget_offsets(tensors, description):
  parts = description["parts"]["int32"]
  parts[:] = [["elsewhere" + name, shape] for name, shape in parts]


def number_the_step_in_words(tensors, description):
  description["network"]["step"] = "seven"


@pytest.mark.parametrize(
  "change",
  [
    set_offset,
    set_nan,
    set_infinity,
    enlarge,
    enlarge_alone,
    name_over_lines,
    add_kernel,
    network_of_a_number,
    network_of_a_word,
    plan_of_a_list,
    make_negative,
    rename_kind,
    shorten,
    lose,
    split_otherwise,
    swap,
    change_model,
    forget,
    forget_offsets,
    number_the_step_in_words,
  ],
)
def test_a_hostile_file_is_refused_in_one_line(path, change):
  compact.write(path, networks.shipped(rule=EpitomeRule(side="both"), rate=4.0))
  damaged(path, change)
  with pytest.raises(UserError) as caught:
    ne.load(path)
  assert "\n" not in str(caught.value)


def with_depthwise_channels_of(network, ranges):
  """The same function: what a depthwise channel gains, its batch norm takes away."""
  params, statistics = (
    flat_variables.flatten(network.variables[name])
    for name in ("params", "batch_stats")
  )
  paths = [p for p in network.plan.kernels if p.endswith("/depthwise/kernel")]
  for path in paths:
    factor, norm = ranges(params[path].shape[-1]), path.replace("/kernel", "_norm")
    params[path] = params[path] * factor
    statistics[f"{norm}/mean"] = statistics[f"{norm}/mean"] * factor
    epsilon = network.config.norm.epsilon
    variance = (statistics[f"{norm}/var"] + epsilon) * factor**2 - epsilon
    statistics[f"{norm}/var"] = np.maximum(variance, 1e-6)
  variables = {"params": params, "batch_stats": statistics}
  nested = {name: flat_variables.nested(flat) for name, flat in variables.items()}
  return dataclasses.replace(network, variables=network.variables | nested), paths


@pytest.mark.slow
def test_depthwise_channels_of_very_different_ranges_lose_nothing_in_integers(tmp_path):
  config = dataclasses.replace(tiny.experiment(), model=MOBILE)
  network = networks.trained(config, rule=EpitomeRule(routing="tile"))
  random = np.random.default_rng(3)

  def ranges(channels):
    return (10 ** random.uniform(0, 3, channels)).astype(np.float32)

  spread, paths = with_depthwise_channels_of(network, ranges)
  assert len(paths) == 2
  errors, batch = {}, networks.images(network, 8)
  for name, one in (("even", network), ("spread", spread)):
    ready = inference_model.shipped(one)
    expected = networks.logits(ready, batch)
    file = tmp_path / f"{name}.safetensors"
    compact.write(file, ready, 8)
    answers = networks.logits(ne.load(file), batch)
    errors[name] = np.abs(answers - expected).max() / np.abs(expected).max()
    arrays = compact_reader.read(file).parameters()
    params = flat_variables.parameters(ready.variables)
    for path in paths:
      # Each channel has steps of its own range, and none those of the widest.
      steps = np.abs(params[path]).max(axis=(0, 1, 2)) / 127
      assert np.all(np.abs(arrays[path] - params[path]) <= 0.502 * steps)
  largest = [np.ptp(np.log10(np.abs(params[p]).max(axis=(0, 1, 2)))) for p in paths]
  assert min(largest) > 2
  assert errors["spread"] == pytest.approx(errors["even"], rel=0.05)
  assert errors["even"] < 0.05


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_scale_of_integers_that_is_no_number_is_refused(path, value):
  compact.write(path, networks.shipped(rule=EpitomeRule(side="both")), 8)

  def spoil(tensors, description):
    names = [
      name for name, shape in description["parts"]["float32"] for _ in range(max(shape))
    ]
    tensors["float32"][names.index("conv_1/epitome.scale")] = value

  damaged(path, spoil)
  with pytest.raises(UserError, match="float32 has NaN"):
    ne.load(path)


def written(path, kernels, tensors, **metadata):
  """A file of its own, whatever is in it."""
  content = {"plan": {"kernels": kernels}, "parts": {}} | metadata
  packed = compact_file.packed_text(content)
  save_file(tensors, path, {"format": "neural_epitome", "description": packed})


def of_one(kind, shape, roles, **spec):
  """The plan's word on one kernel."""
  names = {role: f"a/{role}" for role in roles}
  generator = {"kind": kind} | spec
  return {"a/kernel": {"shape": shape, "generator": generator, "tensors": names}}


ONE, LINE = np.ones((1, 1), np.float32), np.ones(2**14, np.float32)
# What little is stored would have to be of many GB.
BOMBS = {
  "shape": (of_one("epitome", [2**15, 2**15], ["epitome"]), {"a/epitome": ONE}),
  "ring": (
    of_one("shared_epitome", [2**20, 2**10], ["epitome", "scale"], start=0, block=1),
    {"a/epitome": ONE, "a/scale": ONE},
  ),
  "many": (
    {
      f"{i}/kernel": kernel
      for i in range(64)
      for kernel in of_one("epitome", [2**9, 2**9], ["epitome"]).values()
    },
    {"a/epitome": ONE},
  ),
  "symbols of coded starts": (
    of_one("windowed_epitome", [4], ["ring"], length=2**40, window=[1], coded_bytes=16),
    {"a/ring": LINE, "a/offsets.start": np.zeros(2**10, np.uint8)},
  ),
  "bits of packed starts": (
    of_one("windowed_epitome", [4], ["ring"], length=2 ** (2**13), window=[1]),
    {"a/ring": LINE, "a/offsets.start": np.zeros(2**14, np.uint8)},
  ),
  "windows of less than nothing": (
    of_one("windowed_epitome", [2**10, 2**8], ["ring"], length=4, window=[-1, -1]),
    {"a/ring": LINE, "a/offsets.start": np.zeros(2**14, np.uint8)},
  ),
  "windows over many axes": (
    of_one("windowed_epitome", [2**4] * 4, ["ring"], length=4, window=[1] * 40),
    {"a/ring": LINE[:4], "a/offsets.start": np.zeros(2**14 - 1, np.uint8)},
  ),
  "axes of a scale": (
    of_one("epitome", [2**10, 2**10], ["epitome", "scale"]),
    {"a/epitome": ONE, "a/scale": LINE.reshape(1, 1, -1)},
  ),
  "axes of an offset": (
    of_one("epitome", [2**10, 2**10], ["epitome"]),
    {"a/epitome": ONE, "a/offsets.spatial": 0 * LINE.reshape(1, 1, -1)},
  ),
  "rank": (
    of_one("low_rank", [2, 2], ["left", "right"]),
    {"a/left": LINE.reshape(-1, 1), "a/right": LINE.reshape(1, -1)},
  ),
  "rank of inputs left out": (
    of_one("low_rank", [2, 2], ["left", "right"], without=[0] * 2**14),
    {"a/left": LINE.reshape(-1, 1), "a/right": LINE.reshape(1, -1)},
  ),
  "factors": (
    of_one("dense", [2, 2], ["kernel"]),
    {"a/kernel": LINE.astype(np.int8).reshape(-1, 1), "a/kernel.scale": LINE},
  ),
  "axes of a kernel": (
    of_one("epitome", [1] * 40, ["epitome"]),
    {"a/epitome": np.full([2] * 15, 1, np.float32)},
  ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_cannot_ask_for_much_memory(path, name):
  written(path, *BOMBS[name])
  tracemalloc.start()
  with pytest.raises(compact_reader.CompactError) as caught:
    compact_reader.read(path).parameters()
  most = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  assert "\n" not in str(caught.value)
  assert most < 2**26


@pytest.mark.parametrize("version", [1, 2])
def test_bits_without_end_are_refused(path, version):
  kernels, bits = of_one("dense", [1, 1], ["kernel"]), 2**40
  spec = {"shape": [0]} if version == 1 else {"shape": [0], "bits": bits}
  plan = {"kernels": kernels, "tensors": {"a/kernel": spec}}
  stored = {"a/kernel": np.zeros(1, np.uint8), "a/kernel.scale": ONE}
  table = {"bits": {"a/kernel": bits}} if version == 1 else {}
  written(path, kernels, stored, plan=plan, **table)
  with pytest.raises(compact_reader.CompactError, match=f"of {2**40} bits"):
    compact_reader.read(path).parameters()


def test_as_large_a_kernel_as_is_asked_for_is_built(path):
  kernels = of_one("epitome", [2**10, 2**10], ["epitome"])
  written(path, kernels, {"a/epitome": ONE})
  with pytest.raises(compact_reader.CompactError, match="1,048,576 numbers in full"):
    compact_reader.read(path)
  arrays = compact_reader.read(path, largest=2**20).parameters()
  np.testing.assert_array_equal(arrays["a/kernel"], np.ones((2**10, 2**10)))


def test_a_network_larger_than_is_allowed_is_refused_unless_asked_for(path):
  network = networks.shipped()
  compact.write(path, network)
  with pytest.raises(UserError, match="largest=100"):
    compact_loading.load(path, largest=100)
  assert compact_loading.load(path, largest=10**6).plan == network.plan


def test_the_reader_is_short_and_needs_numpy_alone():
  source = Path(compact_reader.__file__).read_text()
  # To be read in one sitting before it is copied: every generator, and the decoder of
  # symbols, alone and in context.
  assert len(source.splitlines()) <= 280
  imported = {
    name.partition(".")[0]
    for node in ast.walk(ast.parse(source))
    if isinstance(node, ast.Import | ast.ImportFrom)
    for name in [getattr(node, "module", None) or node.names[0].name]
  }
  assert imported - set(sys.stdlib_module_names) == {"numpy"}


def test_a_file_that_is_cut_anywhere_is_refused(path):
  compact.write(path, networks.shipped())
  whole = path.read_bytes()
  for length in (0, 5, 8, 100, len(whole) // 2, len(whole) - 1):
    path.write_bytes(whole[:length])
    with pytest.raises(UserError, match="no compact file"):
      ne.load(path)
  path.write_bytes((2**63).to_bytes(8, "little") + whole[8:])
  with pytest.raises(UserError, match="no compact file"):
    ne.load(path)
  with pytest.raises(UserError, match="does not exist"):
    ne.load(path.with_name("other.safetensors"))


def test_a_description_that_inflates_without_end_is_not_inflated(path):
  compact.write(path, networks.shipped())
  metadata = {
    "format": "neural_epitome",
    "description": compact_file.packed_text(
      {"plan": " " * (compact_reader.LARGEST_DESCRIPTION)}
    ),
  }
  save_file({"float32": np.zeros(1, np.float32)}, path, metadata)
  assert path.stat().st_size < 2**20
  with pytest.raises(UserError, match="no compact file"):
    ne.load(path)


def test_only_the_kept_weights_can_be_asked_for(path):
  compact.write(path, networks.shipped())
  with pytest.raises(UserError, match="'raw' weights, not 'ema'"):
    ne.load(path, weights="ema")


def test_a_file_is_not_evaluated_on_classes_that_it_does_not_know(tmp_path):
  network = networks.shipped()
  path = tmp_path / "tiny.safetensors"
  others = ("unheard of", *network.classes[1:])
  compact.write(path, dataclasses.replace(network, classes=others))
  loaded = ne.load(path)
  assert loaded.classes == others
  with pytest.raises(UserError, match="than the network: 'unheard of'"):
    ne.evaluate(loaded)
