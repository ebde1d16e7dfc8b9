"""Plans as JSON: there and back, and every inconsistency refused by name."""

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
GENERATORS = {
  "a/kernel": Epitome((1, 1, 8, 4), "blockwise", ("output",)),
  "sound/kernel": WSNet(2, 2),
}


@pytest.mark.parametrize("bits", [32, 8])
def test_json_comes_back_equal(bits):
  # Factors keep 32 bits.
  scaled = {"b/kernel": Epitome((1, 1, 8, 4), "tile", scaled=True)}
  plan = plans.make(USES, GENERATORS | scaled).narrowed(bits)
  again = plan_json.from_json(plan_json.to_json(plan))
  assert again == plan
  assert hash(again) == hash(plan)


def test_json_names_every_kernel_and_stored_tensor_with_its_shape():
  data = json.loads(plan_json.to_json(plans.make(USES, GENERATORS)))
  assert list(data["kernels"]) == [use.path for use in USES]
  assert data["kernels"]["stem/kernel"]["generator"] == {"kind": "dense"}
  assert data["tensors"]["a/epitome"] == {
    "shape": [1, 1, 8, 4],
    "dtype": "float32",
    "bits": 32,
  }
  assert data["tensors"]["sound/condensed"]["shape"] == [18, 2]


@pytest.mark.parametrize(
  ("change", "words"),
  [
    (lambda d: d.update(version=3), "version 3"),
    (lambda d: d["tensors"]["a/epitome"].update(bits=9), "bits=9 must be 32 or 16"),
    (lambda d: d["kernels"]["a/kernel"]["tensors"].update(scale="b"), "no use for"),
    (lambda d: d["kernels"]["a/kernel"]["generator"].update(kind="epitom"), "epitome"),
    (lambda d: d["kernels"]["a/kernel"]["generator"].update(route="tile"), "routing"),
    (lambda d: d["tensors"].pop("a/epitome"), "needs a tensor 'epitome'"),
    (lambda d: d["kernels"]["a/kernel"].update(shape=[1, 1, 2, 2]), "cannot generate"),
  ],
)
def test_damaged_json_is_refused_by_name(change, words):
  data = json.loads(plan_json.to_json(plans.make(USES, GENERATORS)))
  change(data)
  with pytest.raises(UserError, match=words):
    plan_json.from_json(json.dumps(data))


def test_text_that_is_no_json_is_refused():
  with pytest.raises(UserError, match="not JSON"):
    plan_json.from_json("{", "plan.json")
