"""What every arm starts from: its bytes, its answers and its gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.quality import networks, training
from benchmarks.quality.arms import ARMS, Teacher
from benchmarks.quality.jobs import CODED, CODED_BADLY, ROUNDED, SIZED
from benchmarks.quality.plain import PlainConfig
from neural_epitome.errors import UserError

# Large enough that every arm reaches the size.
NETWORK = networks.Network(PlainConfig(channels=(24,)), epochs=1, sheets=1)
SIZE = 8


@pytest.fixture(scope="module")
def teacher():
  model = networks.dense_model(NETWORK.config)
  return Teacher(NETWORK, networks.initial(model, 0))


@pytest.fixture
def image():
  return jax.random.normal(jax.random.key(0), (4, 8, 8, 3))


def logits(start, image):
  return start.model.apply(start.variables, image, train=False)


@pytest.mark.parametrize("arm", SIZED)
def test_an_arm_of_a_size_stores_what_it_allows_and_not_much_less(arm, teacher):
  start = ARMS[arm](teacher, SIZE, 0)
  allowed = 4 * teacher.inventory.size // SIZE
  assert 0.85 * allowed <= start.stored_bytes <= allowed


@pytest.mark.slow
@pytest.mark.parametrize(
  "arm", [arm for arm in CODED + CODED_BADLY if "nnc" not in arm]
)
def test_a_code_of_the_teacher_takes_what_the_size_allows_and_answers_like_it(
  arm, teacher, image
):
  start = ARMS[arm](teacher, SIZE, 0)
  allowed = 4 * teacher.inventory.size // SIZE
  assert 0.8 * allowed <= start.stored_bytes <= allowed
  exact = teacher.model.apply(teacher.variables, image, train=False)
  assert float(jnp.linalg.norm(logits(start, image) - exact)) < float(
    jnp.linalg.norm(exact)
  )


@pytest.mark.slow
def test_an_arm_that_sees_images_answers_more_alike_in_as_many_bytes(teacher, image):
  random = np.random.default_rng(0)
  shown = jnp.asarray(random.integers(256, size=(20, 32, 32, 3)), jnp.uint8)
  seeing = Teacher(NETWORK, teacher.variables, lambda: shown)
  seen = training.normalised(shown[:10])
  exact = teacher.model.apply(teacher.variables, seen, train=False)
  lost = []
  for arm in ("best_examples", "best"):
    start = ARMS[arm](seeing, SIZE, 0)
    assert start.stored_bytes <= 4 * teacher.inventory.size // SIZE
    lost.append(float(jnp.linalg.norm(logits(start, seen) - exact)))
  assert lost[0] < 0.8 * lost[1]


@pytest.mark.slow
def test_windows_move_between_epochs_and_nothing_else_does(teacher, image):
  start, still = (ARMS[arm](teacher, SIZE, 0) for arm in ("best_moving", "best"))
  assert start.stored_bytes == still.stored_bytes
  np.testing.assert_allclose(logits(start, image), logits(still, image), atol=1e-5)
  variables = dict(start.variables)
  random = np.random.default_rng(0)
  lacking = jax.tree.map(
    lambda one: random.normal(size=one.shape).astype(np.float32),
    variables["params"]["lacking"],
  )
  variables["params"] = {**variables["params"], "lacking": lacking}
  moved = start.between(variables)
  changed = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), moved, variables)
  assert any(jax.tree.leaves(changed.pop("routing")))
  assert any(jax.tree.leaves(changed["params"].pop("lacking")))
  assert not any(jax.tree.leaves(changed))


def test_nnc_without_its_interpreter_says_how_to_name_it(teacher, monkeypatch):
  monkeypatch.delenv("NNC_PYTHON", raising=False)
  with pytest.raises(UserError, match="set NNC_PYTHON"):
    ARMS["nnc"](teacher, SIZE, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
  "arm", ["best", "product_quantisation", "low_rank", "random", "tile"]
)
def test_every_stored_number_of_an_arm_is_trained(arm, teacher, image):
  start = ARMS[arm](teacher, SIZE, 0)
  rest = {k: v for k, v in start.variables.items() if k != "params"}

  def loss(params):
    variables = {"params": params, **rest}
    found, _ = start.model.apply(variables, image, train=True, mutable=["batch_stats"])
    return jnp.sum(found**2)

  for gradient in jax.tree.leaves(jax.grad(loss)(start.variables["params"])):
    assert float(jnp.max(jnp.abs(gradient))) > 0


@pytest.mark.slow
def test_rounding_costs_bytes_and_precision_in_step_with_its_bits(teacher, image):
  wanted = logits(ARMS["int8"](teacher, 1, 0), image)
  exact = teacher.model.apply(teacher.variables, image, train=False)
  starts = [ARMS[arm](teacher, 1, 0) for arm in ROUNDED]
  errors = [float(jnp.linalg.norm(logits(start, image) - exact)) for start in starts]
  assert errors == sorted(errors)
  assert errors[0] < 0.02 * float(jnp.linalg.norm(exact))
  assert wanted.shape == exact.shape
  sizes = [start.stored_bytes for start in starts]
  assert sizes == sorted(sizes, reverse=True)
  kernels = sum(use.size for use in teacher.inventory.kernels)
  scales = sum(use.shape[-1] for use in teacher.inventory.kernels)
  assert sizes[0] == kernels + 4 * (scales + teacher.inventory.rest_size)
  assert sizes[0] - sizes[1] == kernels // 2


@pytest.mark.slow
def test_low_rank_starts_from_the_singular_vectors_of_the_teacher(teacher):
  start = ARMS["low_rank"](teacher, SIZE, 0)
  name = "conv_1"
  kernel = np.asarray(teacher.variables["params"][name]["kernel"])
  factors = start.variables["params"][name]
  left, right = np.asarray(factors["left"]), np.asarray(factors["right"])
  made = left.reshape(-1, left.shape[-1]) @ right
  values = np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)
  error = np.linalg.norm(made - kernel.reshape(made.shape))
  np.testing.assert_allclose(error, np.linalg.norm(values[len(right) :]), rtol=1e-4)


def test_a_narrower_network_is_of_the_same_form_and_another_seed_is_another(teacher):
  first, second = (ARMS["narrower"](teacher, SIZE, seed) for seed in (0, 1))
  kernels = [start.variables["params"]["conv_1"]["kernel"] for start in (first, second)]
  assert kernels[0].shape == kernels[1].shape
  assert not np.array_equal(*kernels)
  assert first.variables["params"].keys() == teacher.variables["params"].keys()


@pytest.mark.slow
def test_arms_are_trained_by_the_teacher(teacher):
  recipe = training.Recipe(batch=10)
  start = ARMS["tile"](teacher, SIZE, 0)
  course = training.Course(start.model, teacher.model, recipe, epochs=1, count=20)
  images = training.Images(
    jnp.zeros((20, 32, 32, 3), jnp.uint8), jnp.zeros(20, jnp.int32)
  )
  state, loss = training.run_epoch(
    course, course.start(start.variables), images, teacher.variables, 0, 0
  )
  assert np.isfinite(loss)
  after = state["params"]["conv_1"]["epitome"]
  assert not np.array_equal(after, start.variables["params"]["conv_1"]["epitome"])
