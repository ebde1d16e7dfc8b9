"""Plans: JSON there and back, and every inconsistency refused by name."""

import json

import pytest

from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.generators import Dense, Epitome, WSNet
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


def test_json_comes_back_equal():
  plan = plans.make(USES, GENERATORS)
  again = plans.from_json(plans.to_json(plan))
  assert again == plan
  assert hash(again) == hash(plan)
  assert plan.compressed == ("a/kernel", "sound/kernel")


def test_json_names_every_kernel_and_stored_tensor_with_its_shape():
  data = json.loads(plans.to_json(plans.make(USES, GENERATORS)))
  assert list(data["kernels"]) == [use.path for use in USES]
  assert data["kernels"]["stem/kernel"]["generator"] == {"kind": "dense"}
  assert data["tensors"]["a/epitome"] == {
    "shape": [1, 1, 8, 4],
    "dtype": "float32",
    "bits": 32,
  }
  assert data["tensors"]["sound/condensed"]["shape"] == [18, 2]


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


@pytest.mark.parametrize(
  ("change", "words"),
  [
    (lambda d: d.update(version=3), "version 3"),
    (lambda d: d["tensors"]["a/epitome"].update(bits=9), "bits=9, not 32 or 2 to 8"),
    (lambda d: d["kernels"]["a/kernel"]["tensors"].update(scale="b"), "no use for"),
    (lambda d: d["kernels"]["a/kernel"]["generator"].update(kind="epitom"), "epitome"),
    (lambda d: d["kernels"]["a/kernel"]["generator"].update(route="tile"), "routing"),
    (lambda d: d["tensors"].pop("a/epitome"), "needs a tensor 'epitome'"),
    (lambda d: d["kernels"]["a/kernel"].update(shape=[1, 1, 2, 2]), "cannot generate"),
  ],
)
def test_damaged_json_is_refused_by_name(change, words):
  data = json.loads(plans.to_json(plans.make(USES, GENERATORS)))
  change(data)
  with pytest.raises(UserError, match=words):
    plans.from_json(json.dumps(data))


def test_text_that_is_no_json_is_refused():
  with pytest.raises(UserError, match="not JSON"):
    plans.from_json("{", "plan.json")


SCALED = {"a/kernel": Epitome((1, 1, 8, 4), "tile", scaled=True)}


def test_fewer_bits_are_of_tensors_and_not_of_the_factors_in_a_kernel():
  plan = plans.make(USES, SCALED).narrowed(8)
  bits = {name: spec.bits for name, spec in plan.tensors.items()}
  assert bits.pop("a/scale") == 32
  assert set(bits.values()) == {8}
  assert plans.from_json(plans.to_json(plan)) == plan
  assert plan.narrowed(32) == plan
  assert plan.narrowed({"a/kernel": 4}).tensors["a/epitome"].bits == 4
  assert plan.in_floats() == plans.make(USES, SCALED)


def version_1(quantised):
  data = json.loads(plans.to_json(plans.make(USES, SCALED)))
  data["version"] = 1
  for spec in data["tensors"].values():
    del spec["bits"]
  for path, bits in quantised.items():
    kernel = data["kernels"][path]
    kernel["generator"] = {"kind": "quantised", "bits": bits, "of": kernel["generator"]}
  return data


def test_version_1_has_bits_from_its_generators_and_then_from_the_configuration():
  data = version_1({"a/kernel": 8, "b/kernel": 3})
  plan = plans.from_json(json.dumps(data))
  wanted = plans.make(USES, SCALED).narrowed({"a/kernel": 8, "b/kernel": 3})
  assert plan == wanted
  plan = plans.from_json(json.dumps(data), bits=4)
  bits = {name: spec.bits for name, spec in plan.tensors.items()}
  assert bits == {
    "stem/kernel": 4,
    "a/epitome": 8,
    "a/scale": 32,
    "b/kernel": 3,
    "sound/kernel": 4,
  }


def test_a_plan_of_version_1_is_the_same_plan_but_for_its_bits():
  data = version_1({"b/kernel": 8})
  plan = json.loads(plans.to_json(plans.make(USES, SCALED).narrowed(4)))
  assert plans.is_same(data, plan)
  assert plans.is_same(plan, plan)
  other = json.loads(plans.to_json(plans.make(USES, GENERATORS)))
  assert not plans.is_same(data, other)
  assert not plans.is_same({"version": 1, "kernels": [1]}, plan)
  assert not plans.is_same(None, plan)


@pytest.mark.parametrize(
  "change",
  [
    lambda d: d.update(kernels=[1]),
    lambda d: d["kernels"].update({"a/kernel": 3}),
    lambda d: d["kernels"]["a/kernel"].update(generator={"kind": "quantised"}),
    lambda d: d["kernels"]["a/kernel"].update(generator={"kind": "quantised", "of": 1}),
    lambda d: d["kernels"]["a/kernel"]["generator"].update(bits="8"),
  ],
)
def test_damaged_json_of_version_1_is_refused(change):
  data = version_1({"a/kernel": 8})
  change(data)
  with pytest.raises(UserError):
    plans.from_json(json.dumps(data))
