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
  assert data["tensors"]["a/epitome"] == {"shape": [1, 1, 8, 4], "dtype": "float32"}
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
    (lambda d: d.update(version=2), "version 2"),
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
