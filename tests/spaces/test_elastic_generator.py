"""A kernel that is read at several sizes, and which one when."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_epitome.epitome import fitting, routing
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.generators import (
  Dense,
  Epitome,
  Hashed,
  LowRank,
  WSNet,
)
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.epitome.layers import EpitomeConv
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.errors import UserError
from neural_epitome.spaces.elastic_generator import Elastic, nearest

SHAPE = (3, 3, 8, 12)
X = jax.random.normal(jax.random.key(0), (4, 6, 6, 8))
MEMBERS = {
  "tile": Epitome((3, 3, 3, 12), "tile"),
  "factorised": Epitome((3, 3, 4, 5), "factorised"),
  "cropped": Epitome((5, 5, 8, 3), "factorised"),
  "hashed": Hashed(40, seed=7),
  "wsnet": WSNet(5.0),
}
ELASTIC = Elastic((Dense(), *MEMBERS.values()))
LAYER = EpitomeConv(
  features=12,
  kernel_size=(3, 3),
  generator=ELASTIC,
  indices=IndexOptions(source="drawn", start="zero"),
)


@pytest.fixture(scope="module")
def variables():
  return jax.jit(LAYER.init)(jax.random.key(0), X)


@jax.jit
def read_at(variables, number):
  held = variables["routing"] | {"map": {"member": number.reshape(1)}}
  return LAYER.apply(variables | {"routing": held}, X)


@jax.jit
@jax.grad
def gradients(params, variables, number):
  return jnp.sum(jnp.sin(read_at(variables | {"params": params}, number)))


@pytest.mark.slow
@pytest.mark.parametrize("member", MEMBERS.values(), ids=MEMBERS)
def test_what_is_read_is_the_least_squares_fit_of_the_member(member):
  kernel = np.asarray(jax.random.normal(jax.random.key(1), SHAPE))
  plan = plans.make([KernelUse("kernel", SHAPE)], {"kernel": member})
  offsets = {
    axis: np.zeros(shape, np.float32) for axis, shape in member.offsets(SHAPE).items()
  }
  fitted = fitting.fit(plan, {"kernel": kernel}, {"kernel": offsets})
  expected = fitting.generate(plan, fitted, {"kernel": offsets}, "kernel")
  fit = nearest(member, SHAPE, jnp.asarray(kernel))
  np.testing.assert_allclose(fit, expected, atol=1e-5)
  # Already one of the member's, it is read as it is.
  np.testing.assert_allclose(nearest(member, SHAPE, fit), fit, atol=1e-5)


@pytest.mark.slow
def test_evaluation_reads_the_member_that_the_map_says(variables):
  kernel = variables["params"]["kernel"]
  for number, member in enumerate(ELASTIC.members):
    plain = EpitomeConv(features=12, kernel_size=(3, 3))
    read = nearest(member, SHAPE, kernel)
    params = variables["params"] | {"kernel": read}
    expected = plain.apply({"params": params}, X)
    evaluated = read_at(variables, jnp.float32(number))
    np.testing.assert_allclose(evaluated, expected, atol=1e-5)


@pytest.mark.slow
def test_training_draws_every_member_and_leaves_the_map_where_it_is(variables):
  outputs = [read_at(variables, jnp.float32(n)) for n in range(len(ELASTIC.members))]
  step = jax.jit(lambda variables: LAYER.apply(variables, X, mutable=["routing"]))
  drawn, state = [], variables["routing"]
  for _ in range(60):
    y, updated = step(variables | {"routing": state})
    state = updated["routing"]
    errors = [float(jnp.max(jnp.abs(y - output))) for output in outputs]
    assert min(errors) < 1e-5
    drawn.append(int(np.argmin(errors)))
  assert set(drawn) == set(range(len(outputs)))
  np.testing.assert_array_equal(state["map"]["member"], [0.0])
  assert float(state["weight"]) == 60.0
  frozen = routing.freeze(state)
  y, _ = step(variables | {"routing": frozen})
  np.testing.assert_allclose(y, outputs[0], atol=1e-5)


def test_layers_draw_each_for_itself_and_the_same_when_resumed():
  cells, shapes = {"member": (6,)}, {"member": (1,)}

  def drawn(path):
    return [
      float(routing.drawn_offsets(path, jnp.float32(step), shapes, cells)["member"][0])
      for step in range(30)
    ]

  assert drawn("a/conv") == drawn("a/conv")
  assert drawn("a/conv") != drawn("b/conv")


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(ELASTIC.members)))
def test_the_stored_kernel_learns_from_whatever_is_read(variables, number):
  gradient = gradients(variables["params"], variables, jnp.float32(number))["kernel"]
  assert np.mean(np.abs(gradient) > 0) > 0.9


@pytest.mark.parametrize(
  "member", [LowRank(3), Epitome((3, 3, 4, 4), "tile", scaled=True)]
)
def test_what_has_no_such_reading_is_refused_by_name(member):
  with pytest.raises(UserError, match=f"{member.kind} cannot be read at several"):
    Elastic((Dense(), member)).check(SHAPE)
