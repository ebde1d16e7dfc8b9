"""The plan: kernel by kernel, from which stored tensors it is generated.

As JSON:

    {"version": 1,
     "architecture": "9f3c...",                        fingerprint of all kernels
     "tensors": {"block_1/expand/epitome": {"shape": [1, 1, 16, 48],
                                            "dtype": "float32"}, ...},
     "kernels": {"block_1/expand/kernel": {
         "shape": [1, 1, 16, 96],
         "generator": {"kind": "epitome", "shape": [1, 1, 16, 48],
                       "routing": "factorised", "sampled": [...]},
         "tensors": {"epitome": "block_1/expand/epitome"}}, ...}}

A plan says nothing of how a kernel is executed or trained. Tensors have names of
their own, so several kernels may be generated from one tensor; a tensor that is
not named after the layer that reads it lives at the top of the parameter tree.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping

from neural_epitome import codec
from neural_epitome.epitome import rounding
from neural_epitome.epitome.generators import Dense, GeneratorSpec
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.epitome.sampling import Array, Shape
from neural_epitome.errors import UserError

VERSION = 1


@dataclasses.dataclass(frozen=True)
class TensorSpec:
  """A stored tensor: shape and dtype name."""

  shape: Shape
  dtype: str = "float32"


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
    """Paths of the kernels that are not stored as they are."""
    return tuple(
      path
      for path, kernel in self.kernels.items()
      if not isinstance(kernel.generator, Dense)
    )

  def tensor_bits(self, bits: int = 32) -> dict[str, int]:
    """Bits of a number of every tensor; `bits` where its generator has no own width."""
    widths: dict[str, int] = {}
    for kernel in self.kernels.values():
      for role, name in kernel.tensors.items():
        widths.setdefault(name, kernel.generator.tensor_bits(role) or bits)
    return widths

  def rounded(self, arrays: Mapping[str, Array], bits: int) -> dict[str, Array]:
    """Arrays by name, the tensors that a network of `bits` rounds as it reads them.

    They are those whose generator has no width of its own.
    """
    found = dict(arrays)
    if bits < 32:
      for name, width in self.tensor_bits(0).items():
        if not width:
          found[name] = rounding.straight_through(found[name], bits)
    return found


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
  """Makes a plan.

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
      spec = TensorSpec(tuple(shape))
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


def from_json(text: str, where: str = "plan") -> Plan:
  """Reads and checks a plan.

  Raises:
    UserError: if the text is no plan, of a newer version, or at odds with itself.
  """
  try:
    data = json.loads(text)
  except json.JSONDecodeError as error:
    raise UserError(f"{where} is not JSON: {error}.") from None
  version = data.get("version") if isinstance(data, Mapping) else None
  if version != VERSION:
    raise UserError(f"{where} has version {version!r}; this release reads {VERSION}.")
  plan = codec.decode(Plan, data, where)
  for path, kernel in plan.kernels.items():
    kernel.generator.check(kernel.shape)
    for role, shape in kernel.generator.tensors(kernel.shape).items():
      stored = plan.tensors.get(kernel.tensors.get(role, ""))
      if stored is None or stored.shape != tuple(shape):
        raise UserError(
          f"{where}: kernel {path!r} needs a tensor {role!r} of shape {list(shape)}."
        )
  return plan


def layer_plan(
  source: GeneratorSpec | Plan, path: str, shape: Shape
) -> tuple[GeneratorSpec, Mapping[str, str]]:
  """What a layer at `path` builds its kernel of `shape` with.

  Args:
    source: a generator for this very layer, or the plan of its network.
    path: parameter path of the kernel.
    shape: of the full kernel.

  Returns:
    The generator, and for each role the tensor's full name.

  Raises:
    UserError: if the plan is of another architecture.
  """
  if isinstance(source, Plan):
    kernel = source.kernels.get(path)
    if kernel is None or kernel.shape != shape:
      planned = "no such kernel" if kernel is None else f"shape {list(kernel.shape)}"
      raise UserError(
        f"The plan is for another architecture: the model wants {path!r} of shape "
        f"{list(shape)}, the plan has {planned}."
      )
    return kernel.generator, kernel.tensors
  source.check(shape)
  return source, {role: beside(path, role) for role in source.tensors(shape)}
