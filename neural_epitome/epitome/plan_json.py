"""The JSON form of a plan: written, read and checked.

    {"version": 2,
     "architecture": "9f3c...",                        fingerprint of all kernels
     "tensors": {"block_1/expand/epitome": {"shape": [1, 1, 16, 48],
                                            "dtype": "float32", "bits": 8}, ...},
     "kernels": {"block_1/expand/kernel": {
         "shape": [1, 1, 16, 96],
         "generator": {"kind": "epitome", "shape": [1, 1, 16, 48],
                       "routing": "factorised", "sampled": [...]},
         "tensors": {"epitome": "block_1/expand/epitome"}}, ...}}

Older versions are read too, see `plan_versions`.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from neural_epitome import codec
from neural_epitome.epitome import plan_versions, rounding
from neural_epitome.epitome.plan import VERSION, Plan
from neural_epitome.errors import UserError


def to_json(plan: Plan) -> str:
  """The JSON text of a plan, one kernel and one tensor a line."""
  data = codec.encode(plan)

  def block(name: str) -> str:
    rows = (f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in data[name].items())
    return f'  "{name}": {{\n' + ",\n".join(rows) + "\n  }"

  head = (
    f"  {json.dumps(k)}: {json.dumps(data[k])}" for k in ("version", "architecture")
  )
  return "{\n" + ",\n".join([*head, block("tensors"), block("kernels")]) + "\n}\n"


def from_json(text: str, where: str = "plan", bits: int = 32) -> Plan:
  """Reads and checks a plan.

  Args:
    text: that `to_json` wrote, of this version or version 1.
    where: its name in errors.
    bits: of the tensors that a plan of version 1 gives no width of their own, as the
      configuration beside it says; other versions say it themselves.

  Raises:
    UserError: if the text is no plan, of a newer version, or at odds with itself.
  """
  try:
    data = json.loads(text)
  except json.JSONDecodeError as error:
    raise UserError(f"{where} is not JSON: {error}.") from None
  version = data.get("version") if isinstance(data, Mapping) else None
  if version not in (1, VERSION):
    raise UserError(
      f"{where} has version {version!r}; this release reads 1 to {VERSION}."
    )
  widths: dict[str, int] = {}
  if version == 1:
    data, widths = plan_versions.of_version_1(data)
  plan = codec.decode(Plan, data, where)
  _check(plan, where)
  if version == 1:
    own = plan.narrowed(widths)
    # The configuration's bits are of what has none.
    narrow = {name: spec for name, spec in own.tensors.items() if spec.bits < 32}
    plan = plan.narrowed(bits)
    plan = dataclasses.replace(plan, tensors={**plan.tensors, **narrow})
  return plan


def _check(plan: Plan, where: str) -> None:
  for name, spec in plan.tensors.items():
    try:
      rounding.check_bits(spec.bits)
    except UserError as error:
      raise UserError(f"{where}: tensor {name!r}: {error}") from None
  for path, kernel in plan.kernels.items():
    kernel.generator.check(kernel.shape)
    shapes = kernel.generator.tensors(kernel.shape)
    for role in {**shapes, **kernel.tensors}:
      stored = plan.tensors.get(kernel.tensors.get(role, ""))
      if role not in shapes:
        raise UserError(f"{where}: kernel {path!r} has no use for a tensor {role!r}.")
      if stored is None or stored.shape != tuple(shapes[role]):
        raise UserError(
          f"{where}: kernel {path!r} needs a tensor {role!r} of shape "
          f"{list(shapes[role])}."
        )


def is_same(data: Any, plan: Any) -> bool:
  """Whether JSON of a plan, of this version or version 1, is the JSON of another plan.

  Version 1 did not say the bits of all tensors, so they are not compared.

  Args:
    data: JSON-ready data, perhaps of no plan at all.
    plan: what `codec.encode` makes of a plan.
  """
  if not isinstance(data, Mapping) or data.get("version") != 1:
    return data == plan
  try:
    mine, theirs = (from_json(json.dumps(one)).in_floats() for one in (plan, data))
  except UserError:
    return False
  return mine == theirs
