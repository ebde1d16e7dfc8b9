"""Plans of version 1: read as the plans they are, and refused where damaged."""

import json

import pytest

from neural_epitome.epitome import plan as plans
from neural_epitome.epitome import plan_json
from neural_epitome.epitome.generators import Epitome, WSNet
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.errors import UserError

USES = (
  KernelUse("stem/kernel", (3, 3, 3, 8)),
  KernelUse("a/kernel", (1, 1, 8, 16)),
  KernelUse("b/kernel", (1, 1, 8, 16)),
  KernelUse("sound/kernel", (8, 4, 6)),
)
SCALED = {"a/kernel": Epitome((1, 1, 8, 4), "tile", scaled=True)}
OTHER = {"sound/kernel": WSNet(2, 2)}


def version_1(quantised):
  data = json.loads(plan_json.to_json(plans.make(USES, SCALED)))
  data["version"] = 1
  for spec in data["tensors"].values():
    del spec["bits"]
  for path, bits in quantised.items():
    kernel = data["kernels"][path]
    kernel["generator"] = {"kind": "quantised", "bits": bits, "of": kernel["generator"]}
  return data


def test_version_1_has_bits_from_its_generators_and_then_from_the_configuration():
  data = version_1({"a/kernel": 8, "b/kernel": 3})
  plan = plan_json.from_json(json.dumps(data))
  expected = plans.make(USES, SCALED).narrowed({"a/kernel": 8, "b/kernel": 3})
  assert plan == expected
  plan = plan_json.from_json(json.dumps(data), bits=4)
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
  plan = json.loads(plan_json.to_json(plans.make(USES, SCALED).narrowed(4)))
  assert plan_json.is_same(data, plan)
  assert plan_json.is_same(plan, plan)
  other = json.loads(plan_json.to_json(plans.make(USES, OTHER)))
  assert not plan_json.is_same(data, other)
  assert not plan_json.is_same({"version": 1, "kernels": [1]}, plan)
  assert not plan_json.is_same(None, plan)


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
    plan_json.from_json(json.dumps(data))
