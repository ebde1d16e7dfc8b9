"""The plan that somebody, or a search, has written down kernel by kernel."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from neural_epitome import codec
from neural_epitome.cost.inventory import Inventory
from neural_epitome.domains import TensorBits
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome import plan_versions
from neural_epitome.epitome.generators import GeneratorSpec
from neural_epitome.errors import UserError
from neural_epitome.planning.base import Planner


@dataclasses.dataclass(frozen=True)
class ChosenPlanner(Planner):
  """Names the weight generator of every kernel that is not stored in full.

  Attributes:
    generators: by the kernel's path.
    bits: of the stored numbers of a kernel's tensors, 1 to 8 or 16, by its path; 32 of
      those that are not named.
  """

  kind: ClassVar[str] = "chosen"

  generators: Mapping[str, GeneratorSpec] = dataclasses.field(default_factory=dict)
  bits: Mapping[str, TensorBits] = dataclasses.field(default_factory=dict)

  @classmethod
  def upgraded(cls, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """JSON of releases whose plans had version 1: see `plan_versions`."""
    generators, bits = data.get("generators"), dict(data.get("bits", {}))
    if not isinstance(generators, Mapping):
      return data
    unquantised = {}
    for path, generator in generators.items():
      unquantised[path], width = plan_versions.without_quantised(generator)
      if width != 32:
        bits[path] = width
    return {**data, "generators": unquantised, "bits": bits}

  def plan(self, inventory: Inventory) -> plans.Plan:
    """The plan of the generators that are named, all other kernels dense.

    Raises:
      UserError: if a path names no kernel, a generator does not fit its kernel, or
        bits are not 32, 16 or 1 to 8.
    """
    known = [use.path for use in inventory.kernels]
    for path in self.bits.keys() - set(known):
      raise UserError(
        f"The architecture has no kernel {path!r}.{codec.nearest(path, known)}"
      )
    return plans.make(inventory.kernels, self.generators).narrowed(self.bits)
