"""Plans: what is stored, in how many bits, under which names."""

import pytest

from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.generators import Dense, Epitome, WindowedEpitome, WSNet
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.errors import UserError

USES = (
  KernelUse("stem/kernel", (3, 3, 3, 8)),
  KernelUse("a/kernel", (1, 1, 8, 16)),
  KernelUse("b/kernel", (1, 1, 8, 16)),
  KernelUse("sound/kernel", (8, 4, 6)),
)
GENERATORS = {
  "a/kernel": Epitome((1, 1, 8, 4), "blockwise", ("output",)),
  "sound/kernel": WSNet(2, 2),
}


def test_a_plan_lists_the_kernels_that_are_not_stored_in_full():
  plan = plans.make(USES, GENERATORS)
  assert plan.compressed == ("a/kernel", "sound/kernel")


def test_fingerprint_tells_architectures_apart_whatever_the_order():
  assert plans.fingerprint(USES) == plans.fingerprint(USES[::-1])
  assert plans.fingerprint(USES) != plans.fingerprint(USES[:-1])


@pytest.mark.parametrize(
  ("generators", "shared", "words"),
  [
    ({"c/kernel": Dense()}, None, "no kernel 'c/kernel'"),
    ({"a/kernel": Epitome((1, 1, 9, 16))}, None, "cannot generate"),
    ({"a/kernel": Epitome((8, 16))}, None, "cannot generate"),
    ({"a/kernel": WSNet(1, 3)}, None, "`repetition` that divides"),
    (
      {"a/kernel": Epitome((1, 1, 8, 4)), "b/kernel": Epitome((1, 1, 4, 4))},
      {"a/kernel": {"epitome": "bank"}, "b/kernel": {"epitome": "bank"}},
      "need one shape",
    ),
  ],
)
def test_a_plan_that_does_not_fit_is_refused(generators, shared, words):
  with pytest.raises(UserError, match=words):
    plans.make(USES, generators, shared)


SCALED = {"a/kernel": Epitome((1, 1, 8, 4), "tile", scaled=True)}


def test_fewer_bits_are_of_tensors_and_not_of_the_factors_in_a_kernel():
  plan = plans.make(USES, SCALED).narrowed(8)
  bits = {name: spec.bits for name, spec in plan.tensors.items()}
  assert bits.pop("a/scale") == 32
  assert set(bits.values()) == {8}
  assert plan.narrowed(32) == plan
  assert plan.narrowed({"a/kernel": 4}).tensors["a/epitome"].bits == 4
  assert plan.in_floats() == plans.make(USES, SCALED)


def test_tensors_are_renamed_where_something_else_has_their_name():
  use = KernelUse("a/kernel", (8, 8))
  plan = plans.make([use], {"a/kernel": WindowedEpitome(8, (2,))})
  assert plan.apart_from({"a/bias"}) == plan
  apart = plan.apart_from({"a/scale", "a/scale_", "b/ring"})
  assert apart.kernels["a/kernel"].tensors == {"ring": "a/ring", "scale": "a/scale__"}
  assert apart.tensors["a/scale__"] == plan.tensors["a/scale"]
  assert apart.tensors.keys() == {"a/ring", "a/scale__"}
  # A name that is given is not that of another tensor.
  shared = {"a/kernel": {"ring": "a/scale_", "scale": "a/scale"}}
  plan = plans.make([use], {"a/kernel": WindowedEpitome(8, (2,))}, shared)
  assert plan.apart_from({"a/scale"}).kernels["a/kernel"].tensors == {
    "ring": "a/scale_",
    "scale": "a/scale__",
  }
