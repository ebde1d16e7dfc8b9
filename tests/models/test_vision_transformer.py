"""The vision transformer: transformers' numbers, any generator, exports and errors."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import neural_epitome as ne
from neural_epitome import models
from neural_epitome.cost import inventory
from neural_epitome.cost.products import Product
from neural_epitome.data.options import DataOptions
from neural_epitome.epitome import flat_variables
from neural_epitome.epitome.generators import (
  ChannelEpitomeRule,
  EpitomeRule,
  HashedRule,
  LowRankRule,
  SharedEpitomeRule,
  WindowedEpitomeRule,
)
from neural_epitome.errors import UserError
from neural_epitome.export import compact, onnx, program
from neural_epitome.planning import ChosenPlanner, RatePlanner
from neural_epitome.training import compact_loading, optimizer
from tests.export import networks
from tests.training import tiny

# Two blocks on 16 patches; the MLP's channels are no multiple of the others.
SMALL = models.VisionTransformerConfig(
  patch=7, depth=2, embedding=24, heads=3, mlp_ratio=2.25, drop_path=0.5
)
ONE_BLOCK = dataclasses.replace(SMALL, depth=1, drop_path=0.0)
RULES = {
  "channels": ChannelEpitomeRule(),
  "epitome": EpitomeRule(),
  "hashed": HashedRule(),
  "low_rank": LowRankRule(),
  "shared": SharedEpitomeRule(block=50),
  "tile": EpitomeRule(routing="tile"),
  "windows": WindowedEpitomeRule(length=120),
}
# A rule for every kernel that there is.
MIXED = {
  "stem/kernel": "hashed",
  "block_0/attention/qkv/kernel": "windows",
  "block_0/attention/output/kernel": "low_rank",
  "block_0/expand/kernel": "epitome",
  "block_0/project/kernel": "channels",
  "classifier/kernel": "tile",
}


def images(batch, size=28, channels=1):
  values = np.random.default_rng(0).standard_normal((batch, size, size, channels))
  return jnp.asarray(values.astype(np.float32))


@pytest.mark.parametrize("name", RULES)
def test_every_kernel_is_generated_by_any_rule(name):
  taken = inventory.take(models.create(ONE_BLOCK, 10), (28, 28, 1))
  planner = RatePlanner(rate=2.0, rule=RULES[name], keep_first=False)
  assert set(planner.plan(taken).compressed) == MIXED.keys()


def mixed():
  """Every kernel by its own rule, at half its size."""
  taken = inventory.take(models.create(ONE_BLOCK, 10), (28, 28, 1))
  return ChosenPlanner(
    {use.path: RULES[MIXED[use.path]].at(use, use.size // 2) for use in taken.kernels}
  )


@pytest.mark.slow
@pytest.mark.parametrize(
  ("planner", "indices"),
  [
    (lambda: RatePlanner(keep_first=False), {"source": "learner", "hidden": 4}),
    (mixed, {"source": "free"}),
  ],
  ids=["learned", "mixed"],
)
def test_gradients_reach_all_that_is_stored(planner, indices):
  config = dataclasses.replace(tiny.experiment(), model=ONE_BLOCK, planner=planner())
  network = networks.trained(config, **indices)
  assert set(network.plan.compressed) == MIXED.keys()
  options = network.config.indices
  module = models.create(ONE_BLOCK, 10, plan=network.plan, indices=options)
  goal = np.random.default_rng(1).standard_normal((4, 10)).astype(np.float32)

  def loss(params):
    variables = network.variables | {"params": params}
    logits, _ = module.apply(variables, images(4), train=True, mutable=["routing"])
    return jnp.sum((logits - goal) ** 2)

  # Compiled to be run once.
  quickly = {"xla_backend_optimization_level": "0"}
  gradients = jax.jit(jax.grad(loss), compiler_options=quickly)
  of_all = gradients(network.variables["params"])
  for path, gradient in jax.tree_util.tree_leaves_with_path(of_all):
    assert np.all(np.isfinite(gradient)), path
    assert np.any(gradient != 0), path


def test_weight_decay_spares_norms_biases_class_token_and_positions():
  params = jax.eval_shape(models.create(SMALL, 10).init, jax.random.key(0), images(1))[
    "params"
  ]
  decayed = jax.tree_util.tree_leaves_with_path(optimizer.decay_mask(params))
  assert {path[-1].key for path, is_decayed in decayed if is_decayed} == {"kernel"}
  spared = {path[-1].key for path, is_decayed in decayed if not is_decayed}
  assert spared == {"bias", "scale", "class_token", "positions"}


@pytest.mark.parametrize(
  ("patch", "shape", "message"),
  [
    (5, (1, 28, 28, 1), r"model\.patch=5 must divide the image, 28 x 28"),
    (4, (1, 28, 30, 1), r"28 x 30 pixels: set config\.data\.image_size"),
    (
      4,
      (1, 800, 1),
      r"reads images \(height, width, channels\), not inputs \(800, 1\)",
    ),
  ],
)
def test_inputs_that_have_no_patches_are_refused(patch, shape, message):
  module = models.create(dataclasses.replace(SMALL, patch=patch), 10)
  with pytest.raises(UserError, match=message):
    jax.eval_shape(module.init, jax.random.key(0), jnp.zeros(shape))


def test_images_of_another_size_have_no_positions():
  module = models.create(SMALL, 10)
  variables = jax.eval_shape(module.init, jax.random.key(0), images(1))
  with pytest.raises(UserError, match=r"has 25 patches, .* positions for 16"):
    jax.eval_shape(module.apply, variables, images(1, 35))


def test_dense_layers_count_every_token_and_attention_its_products():
  taken = inventory.take(models.create(ONE_BLOCK, 10), (28, 28, 1))
  uses = {use.path: use for use in taken.kernels}
  assert uses["block_0/expand/kernel"].madds == 17 * 24 * 54
  assert uses["classifier/kernel"].madds == 24 * 10
  products = {"block_0/attention/scores", "block_0/attention/mixed"}
  assert taken.products == dict.fromkeys(products, 17 * 17 * 24)
  assert taken.layer_norms == {"block_0/attention_norm", "block_0/mlp_norm", "norm"}
  assert not taken.batch_norms


def test_products_count_each_sum_once_for_one_example():
  product = Product("bqhd,bkhd->bhqk")
  assert product.madds((1, 5, 3, 2), (1, 7, 3, 2)) == 5 * 7 * 3 * 2


def reference(classes=5):
  """A small random network of transformers, 3 channels, 32 pixels."""
  torch = pytest.importorskip("torch", reason="parity with transformers needs torch")
  transformers = pytest.importorskip(
    "transformers", reason="parity needs: pip install 'neural-epitome[test]'"
  )
  torch.manual_seed(0)
  model = transformers.ViTForImageClassification(
    transformers.ViTConfig(
      image_size=32,
      patch_size=8,
      hidden_size=24,
      num_hidden_layers=2,
      num_attention_heads=3,
      intermediate_size=54,
      layer_norm_eps=1e-6,
      initializer_range=0.2,
      num_labels=classes,
    )
  ).eval()
  with torch.no_grad():
    for name, tensor in model.named_parameters():
      if tensor.ndim == 1 or "embeddings" in name:  # biases are zeros, scales ones
        tensor.add_(0.3 * torch.randn_like(tensor))
  return torch, model


# By hand, beside the package's tables.
TIMM = (
  ("vit.embeddings.patch_embeddings.projection", "patch_embed.proj"),
  ("vit.embeddings.position_embeddings", "pos_embed"),
  ("vit.embeddings.cls_token", "cls_token"),
  ("vit.encoder.layer.", "blocks."),
  ("vit.layernorm", "norm"),
  ("layernorm_before", "norm1"),
  ("layernorm_after", "norm2"),
  ("attention.output.dense", "attn.proj"),
  ("intermediate.dense", "mlp.fc1"),
  ("output.dense", "mlp.fc2"),
  ("classifier", "head"),
)


def timm_names(torch, state):
  """The state dict as timm's `VisionTransformer` has it."""
  renamed = {}
  for name, tensor in state.items():
    for theirs, timm in TIMM:
      name = name.replace(theirs, timm)
    renamed[name] = tensor
  for name in [name for name in renamed if ".attention.attention.query." in name]:
    parts = [renamed.pop(name.replace("query", p)) for p in ("query", "key", "value")]
    joined = name.replace(".attention.attention.query.", ".attn.qkv.")
    renamed[joined] = torch.cat(parts)
  return renamed


@pytest.mark.slow
@pytest.mark.parametrize("library", ["transformers", "timm"])
def test_logits_are_those_of_transformers(library, tmp_path):
  torch, model = reference()
  state = model.state_dict()
  if library == "timm":
    state = timm_names(torch, state)
    assert "blocks.1.attn.qkv.weight" in state
  torch.save({"model": state}, tmp_path / "it.pth")
  config = ne.Config(
    model=dataclasses.replace(SMALL, patch=8),
    norm=models.NormOptions(epsilon=1e-3),  # which no batch norm asks for
    data=DataOptions(image_size=32, channels=3),
  )
  trained = ne.load_pretrained(tmp_path / "it.pth", config)
  pixels = np.asarray(images(4, 32, 3))
  with torch.no_grad():
    expected = model(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())).logits
  actual = jax.jit(trained.model.apply)(trained.variables, pixels)
  assert np.abs(expected.numpy()).max() > 1.0
  np.testing.assert_allclose(actual, expected.numpy(), rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def exported():
  """A network with learned routing and numbers everywhere, as it ships."""
  config = dataclasses.replace(tiny.experiment(), model=ONE_BLOCK)
  return networks.shipped(config, EpitomeRule())


def test_the_compact_file_comes_back_as_the_same_network(exported, tmp_path):
  compact.write(tmp_path / "it.safetensors", exported)
  loaded = compact_loading.load(tmp_path / "it.safetensors")
  assert loaded.config.model == exported.config.model
  assert loaded.plan == exported.plan
  assert not loaded.variables["batch_stats"]
  read, written = (
    flat_variables.parameters(network.variables)
    | {
      (path, axis): offsets
      for path, maps in flat_variables.offsets(network.plan, network.variables).items()
      for axis, offsets in maps.items()
    }
    for network in (loaded, exported)
  )
  assert read.keys() == written.keys()
  for name, array in written.items():
    np.testing.assert_array_equal(read[name], array, str(name))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_onnx_runtime_answers_as_the_network_does_for_any_batch(exported, tmp_path):
  onnx.write(tmp_path / "it.onnx", program.run_as(exported, "fold"))
  run, batch = onnx.read(tmp_path / "it.onnx"), networks.images(exported)
  expected = jax.jit(exported.model.apply)(exported.variables, batch)
  for count in (1, len(batch)):
    actual = run(batch[:count])
    np.testing.assert_allclose(actual, expected[:count], rtol=1e-4, atol=1e-4)
