"""The plan: kernel by kernel, from which stored tensors it is generated.

A plan says nothing of how a kernel is executed or trained. Tensors have names of
their own, so several kernels may be generated from one tensor; a tensor that is
not named after the layer that reads it lives at the top of the parameter tree.

`plan_json` writes and reads it.
"""

import dataclasses
import hashlib
import json
from collections.abc import Container, Iterable, Mapping
from typing import Any

from neural_epitome import codec
from neural_epitome.epitome import rounding
from neural_epitome.epitome.generators import Dense, GeneratorSpec
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.epitome.sampling import Shape
from neural_epitome.errors import UserError

VERSION = 2


@dataclasses.dataclass(frozen=True)
class TensorSpec:
  """A stored tensor.

  Attributes:
    shape: of the tensor.
    dtype: name of the type that it is trained in.
    bits: of a stored number: 32 or 16 for floats, or 1 to 8 for integers that are
      multiplied by stored factors, see `rounding`. Layers read the tensor so rounded,
      in training too.
  """

  shape: Shape
  dtype: str = "float32"
  bits: int = 32

  @property
  def factors(self) -> Shape:
    """Shape of the float32 factors stored beside integers; (0,) where there are none.

    There is one for each entry of the last axis, and a single one for a tensor of one
    axis.
    """
    if self.bits > 8:
      return (0,)
    return self.shape[-1:] if len(self.shape) > 1 else (1,)


@dataclasses.dataclass(frozen=True)
class KernelPlan:
  """How one kernel is generated.

  Attributes:
    shape: of the full kernel.
    generator: how it comes out of the tensors.
    tensors: name of the stored tensor for each role of the generator.
  """

  shape: Shape
  generator: GeneratorSpec
  tensors: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Plan:
  """What is stored of an architecture, and how each kernel comes out of it.

  Attributes:
    architecture: `fingerprint` of the kernels the plan was made for.
    tensors: every stored tensor that a kernel is generated from, by name.
    kernels: every kernel, by parameter path.
    version: of the JSON form.
  """

  architecture: str
  tensors: Mapping[str, TensorSpec]
  kernels: Mapping[str, KernelPlan]
  version: int = VERSION

  def __hash__(self) -> int:
    """Plans are compared by value and may be static arguments of `jax.jit`."""
    return hash((self.architecture, self.version, tuple(self.kernels)))

  @property
  def compressed(self) -> tuple[str, ...]:
    """Paths of the kernels that are not stored in full."""
    return tuple(
      path
      for path, kernel in self.kernels.items()
      if not isinstance(kernel.generator, Dense)
    )

  def rounded(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The same arrays, but the plan's tensors rounded as the network reads them.

    Args:
      arrays: float32, by name; those that are no tensor of the plan stay as they are.
    """
    widths = {name: spec.bits for name, spec in self.tensors.items()}
    return rounding.rounded(arrays, widths)

  def narrowed(self, bits: int | Mapping[str, int]) -> "Plan":
    """The same plan with tensors of at most so many bits.

    Tensors whose generator gives them a width of their own, such as factors, keep it.

    Args:
      bits: of the tensors of all kernels, or of some by the kernel's path; a tensor
        that kernels share gets the fewest that any of them has.

    Raises:
      UserError: for other bits than `rounding` knows.
    """
    tensors = dict(self.tensors)
    for path, kernel in self.kernels.items():
      width = bits.get(path, 32) if isinstance(bits, Mapping) else bits
      rounding.check_bits(width)
      for role, name in kernel.tensors.items():
        if kernel.generator.tensor_bits(role) is None:
          least = min(width, tensors[name].bits)
          tensors[name] = dataclasses.replace(tensors[name], bits=least)
    return dataclasses.replace(self, tensors=tensors)

  def apart_from(self, others: Container[str]) -> "Plan":
    """The same plan with no tensor of these names: `a/scale` becomes `a/scale_`."""
    names = {}
    for name in self.tensors:
      new = name
      while new in others or (new != name and new in self.tensors):
        new += "_"
      names[name] = new
    kernels = {
      path: dataclasses.replace(
        kernel, tensors={role: names[name] for role, name in kernel.tensors.items()}
      )
      for path, kernel in self.kernels.items()
    }
    tensors = {names[name]: spec for name, spec in self.tensors.items()}
    return dataclasses.replace(self, tensors=tensors, kernels=kernels)

  def in_floats(self) -> "Plan":
    """The same plan with every tensor at 32 bits."""
    tensors = {
      name: dataclasses.replace(spec, bits=32) for name, spec in self.tensors.items()
    }
    return dataclasses.replace(self, tensors=tensors)


def fingerprint(uses: Iterable[KernelUse]) -> str:
  """Sixteen hexadecimal digits over path, shape and group count of every kernel."""
  rows = sorted((use.path, use.shape, use.feature_group_count) for use in uses)
  return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def beside(path: str, name: str) -> str:
  """Full name of what a layer stores for its kernel: `a/kernel` has `a/epitome`.

  A parameter of any other name is a layer of its own: `a/embedding/epitome`.
  """
  layer = path.removesuffix("kernel")
  is_layer = not layer or layer.endswith("/")
  return layer + name if is_layer else f"{layer}/{name}"


def make(
  uses: Iterable[KernelUse],
  generators: Mapping[str, GeneratorSpec],
  shared: Mapping[str, Mapping[str, str]] | None = None,
) -> Plan:
  """Makes a plan, its tensors at 32 bits; `Plan.narrowed` gives them fewer.

  Args:
    uses: all kernels of the architecture.
    generators: generator by kernel path; kernels without one stay dense.
    shared: for kernels that share tensors, tensor name by role, by kernel path.

  Raises:
    UserError: if a generator does not fit its kernel, a path names no kernel, or
      kernels that share a tensor want it in different shapes.
  """
  uses = tuple(uses)
  for path in {*generators, *(shared or {})} - {use.path for use in uses}:
    known = codec.nearest(path, [use.path for use in uses])
    raise UserError(f"The architecture has no kernel {path!r}.{known}")
  tensors: dict[str, TensorSpec] = {}
  kernels = {}
  for use in uses:
    generator = generators.get(use.path, Dense())
    generator.check(use.shape)
    names = {role: beside(use.path, role) for role in generator.tensors(use.shape)}
    names |= (shared or {}).get(use.path, {})
    for role, shape in generator.tensors(use.shape).items():
      spec = TensorSpec(tuple(shape), bits=generator.tensor_bits(role) or 32)
      if tensors.setdefault(names[role], spec) != spec:
        raise UserError(
          f"Tensor {names[role]!r} is wanted in shapes {list(shape)} and "
          f"{list(tensors[names[role]].shape)}; kernels that share it need one shape."
        )
    kernels[use.path] = KernelPlan(use.shape, generator, names)
  return Plan(fingerprint(uses), tensors, kernels)
