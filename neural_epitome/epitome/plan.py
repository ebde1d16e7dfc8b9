"""The plan: kernel by kernel, from which stored tensors it is generated.

As JSON:

    {"version": 2,
     "architecture": "9f3c...",                        fingerprint of all kernels
     "tensors": {"block_1/expand/epitome": {"shape": [1, 1, 16, 48],
                                            "dtype": "float32", "bits": 8}, ...},
     "kernels": {"block_1/expand/kernel": {
         "shape": [1, 1, 16, 96],
         "generator": {"kind": "epitome", "shape": [1, 1, 16, 48],
                       "routing": "factorised", "sampled": [...]},
         "tensors": {"epitome": "block_1/expand/epitome"}}, ...}}

A plan says nothing of how a kernel is executed or trained. Tensors have names of
their own, so several kernels may be generated from one tensor; a tensor that is
not named after the layer that reads it lives at the top of the parameter tree.

Version 1 had no `bits`: a generator `quantised` around another one had them, or the
configuration of the run.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
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
    bits: of a stored number: 32 for floats, or 2 to 8 for integers that are multiplied
      by stored factors, see `rounding`. Layers read the tensor so rounded, in training
      too.
  """

  shape: Shape
  dtype: str = "float32"
  bits: int = 32

  @property
  def factors(self) -> Shape:
    """Shape of the float32 factors stored beside integers; (0,) where there are none.

    One an entry of the last axis; one in all for a tensor of one axis.
    """
    if self.bits == 32:
      return (0,)
    return self.shape[-1:] if len(self.shape) > 1 else (1,)


@dataclasses.dataclass(frozen=True)
class KernelPlan:
  """One kernel.

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
    """Arrays by name, the plan's tensors among them as the network reads them."""
    widths = {name: spec.bits for name, spec in self.tensors.items()}
    return rounding.rounded(arrays, widths)

  def narrowed(self, bits: int | Mapping[str, int]) -> "Plan":
    """The same plan with tensors of at most so many bits.

    Tensors whose generator gives them a width of their own, such as factors, keep it.

    Args:
      bits: of the tensors of all kernels, or of some by the kernel's path; a tensor
        that kernels share gets the fewest that any of them has.

    Raises:
      UserError: for bits other than 32 and 2 to 8.
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
    data, widths = _of_version_1(data)
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
    if spec.bits != 32 and spec.bits not in range(2, 9):
      raise UserError(
        f"{where}: tensor {name!r} has bits={spec.bits}, not 32 or 2 to 8."
      )
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


def without_quantised(generator: Any) -> tuple[Any, int]:
  """JSON of a generator as version 1 wrote it, as it is written now, and its bits.

  Bits were a generator of their own, `quantised`, around the one that they are of.

  Args:
    generator: JSON-ready data, perhaps of no generator at all.
  """
  bits = 32
  while isinstance(generator, Mapping) and generator.get("kind") == "quantised":
    bits, generator = generator.get("bits", 8), generator.get("of", {"kind": "dense"})
  return generator, bits


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


def _of_version_1(data: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, int]]:
  """JSON of version 1 as JSON of this version, and the bits of kernels by path."""
  widths: dict[str, int] = {}
  kernels = data.get("kernels")
  if isinstance(kernels, Mapping):
    kernels = dict(kernels)
    for path, kernel in kernels.items():
      if isinstance(kernel, Mapping):
        generator, widths[path] = without_quantised(kernel.get("generator"))
        kernels[path] = {**kernel, "generator": generator}
  return {**data, "kernels": kernels, "version": VERSION}, widths


def layer_plan(
  source: GeneratorSpec | Plan, path: str, shape: Shape, bits: int = 32
) -> tuple[GeneratorSpec, Mapping[str, str], Mapping[str, int]]:
  """What a layer at `path` builds its kernel of `shape` with.

  Args:
    source: a generator for this very layer, or the plan of its network.
    path: parameter path of the kernel.
    shape: of the full kernel.
    bits: of a generator's tensors; a plan says it itself.

  Returns:
    The generator, and for each role the tensor's full name and its bits.

  Raises:
    UserError: if the plan is of another architecture, or bits stand beside a plan.
  """
  if isinstance(source, Plan):
    kernel = source.kernels.get(path)
    if kernel is None or kernel.shape != shape:
      planned = "no such kernel" if kernel is None else f"shape {list(kernel.shape)}"
      raise UserError(
        f"The plan is for another architecture: the model wants {path!r} of shape "
        f"{list(shape)}, the plan has {planned}."
      )
    if bits != 32:
      raise UserError(
        f"{path} has bits={bits} beside a plan, which says the bits of every tensor; "
        f"use plan.narrowed({bits})."
      )
    widths = {role: source.tensors[name].bits for role, name in kernel.tensors.items()}
    return kernel.generator, kernel.tensors, widths
  source.check(shape)
  roles = source.tensors(shape)
  widths = {role: source.tensor_bits(role) or bits for role in roles}
  return source, {role: beside(path, role) for role in roles}, widths
