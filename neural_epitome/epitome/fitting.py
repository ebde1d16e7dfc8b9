"""From a kernel to its stored tensors: the nearest in the sense of least squares.

Nearly all generators make a weight of one number of each of their tensors,

    W[i] = sign[i] * product over tensors T of T[index_T[i]],

with indices that follow from the plan and the routing map (the others know their own
fit, `GeneratorSpec.fit`). So each tensor has a closed form while the others stay as
they are, see `least_squares`. Where there are factors, a few rounds of this are a power
iteration. Kernels that share a tensor are fitted together, each relative to its own
size.

With the mean square of each input as its importance, what is fitted is not the kernel
but what it makes of its inputs, as far as these are uncorrelated.

`search` chooses the routing map too: the nearest tensors for the map, the nearest map
for the tensors, in turn.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from neural_epitome.epitome import least_squares, weight_indices
from neural_epitome.epitome.plan import Plan
from neural_epitome.epitome.sampling import Shape
from neural_epitome.epitome.weight_indices import WeightIndices

Kernels = Mapping[str, np.ndarray]
Maps = Mapping[str, Mapping[str, np.ndarray]]
Tensors = dict[str, np.ndarray]

# Rounds over the tensors of a plan where kernels have factors.
_ROUNDS = 3
# Rounds of a search, unless its caller has others.
SEARCH = range(20)


class _Target(NamedTuple):
  """A kernel that is fitted, its weights in row-major order.

  Attributes:
    kernel: (W,), its weights.
    importance: (W,), what the squared difference of each weight counts.
    read: what every weight reads.
  """

  kernel: np.ndarray
  importance: np.ndarray
  read: WeightIndices


def fit(
  plan: Plan,
  kernels: Kernels,
  offsets: Maps,
  start: Tensors | None = None,
  rounds: int = _ROUNDS,
  importance: Kernels | None = None,
) -> Tensors:
  """The stored tensors from which the plan generates the kernels best.

  Args:
    plan: says how kernels are generated.
    kernels: every kernel of the plan in full, by path.
    offsets: routing map of each kernel that has one, by path and axis; whole cells.
    start: tensors by the plan's names that the rounds begin with; ones where it has
      none.
    rounds: how often each tensor is fitted, where a kernel is made of several.
    importance: (Cin,) of each kernel, at least 0, what the squared difference of each
      input's weights counts; the same of all inputs for kernels that it does not name.

  Returns:
    float32 tensors by the plan's names, that minimise the squared relative error,
    summed over the kernels: exactly where every kernel is made of one tensor.

  Raises:
    UserError: for a generator that cannot be fitted.
    ValueError: for a routing map that is not of whole cells.
  """
  tensors: Tensors = {}
  readers: dict[str, list[_Target]] = {}
  for path, kernel in plan.kernels.items():
    target_kernel = np.asarray(kernels[path], np.float32)
    weights = _importance(path, kernel.shape, importance)
    own = kernel.generator.fit(target_kernel, weights)
    if own is not None:
      tensors |= {kernel.tensors[role]: value for role, value in own.items()}
      continue
    here = offsets.get(path, {})
    read = weight_indices.find(kernel.generator, kernel.shape, here, kernel.tensors)
    every = np.broadcast_to(weights[:, None], target_kernel.shape).reshape(-1)
    target = _Target(target_kernel.reshape(-1), every, read)
    for name in read.indices:
      readers.setdefault(name, []).append(target)
  # The largest first: what it makes of factors of one, the others' factors mend.
  order = sorted(readers, key=lambda name: -np.prod(plan.tensors[name].shape))
  for name in order:
    ones = np.ones(plan.tensors[name].shape, np.float32)
    tensors[name] = (start or {}).get(name, ones)
  has_factors = any(len(t.read.indices) > 1 for ts in readers.values() for t in ts)
  for _ in range(rounds if has_factors else 1):
    for name in order:
      tensors[name] = _nearest(name, tensors, readers[name])
  return tensors


def search(
  plan: Plan,
  kernels: Kernels,
  offsets: Maps,
  rounds: Iterable[int] = SEARCH,
  start: Tensors | None = None,
  importance: Kernels | None = None,
) -> tuple[Tensors, dict[str, dict[str, np.ndarray]]]:
  """Tensors and routing maps from which the plan generates the kernels best.

  Args:
    plan: says how kernels are generated.
    kernels: every kernel of the plan in full, by path.
    offsets: routing maps to start from.
    rounds: what is iterated over, once a round; a progress bar, maybe.
    start: tensors to start from, as of `fit`.
    importance: as of `fit`.

  Returns:
    Tensors as of `fit`, and routing maps of whole cells: the nearest that were met.
  """
  moved = {path: dict(axes) for path, axes in offsets.items()}
  tensors = fit(plan, kernels, moved, start, importance=importance)
  # A round may lead away: cells that nothing reads are given to others.
  least, best = _error(plan, kernels, tensors, moved, importance), (tensors, moved)
  for _ in rounds:
    moved = {
      path: plan.kernels[path].generator.reroute(
        np.asarray(kernels[path], np.float32),
        {role: tensors[name] for role, name in plan.kernels[path].tensors.items()},
        axes,
        _importance(path, plan.kernels[path].shape, importance),
      )
      for path, axes in moved.items()
    }
    tensors = fit(plan, kernels, moved, tensors, importance=importance)
    error = _error(plan, kernels, tensors, moved, importance)
    if error < least:
      least, best = error, (tensors, moved)
  return best


def _error(
  plan: Plan,
  kernels: Kernels,
  tensors: Tensors,
  offsets: Maps,
  importance: Kernels | None,
) -> float:
  """The sum over kernels of the squared relative error, which `fit` minimises."""
  total = 0.0
  for path in plan.compressed:
    root = np.sqrt(_importance(path, plan.kernels[path].shape, importance))[:, None]
    made = generate(plan, tensors, offsets, path)
    total += relative_error(kernels[path] * root, made * root) ** 2
  return total


def _importance(path: str, shape: Shape, importance: Kernels | None) -> np.ndarray:
  """The importance of a kernel's inputs, (Cin,), scaled to a mean of one."""
  weights = (importance or {}).get(path)
  if weights is None:
    return np.ones(shape[-2], np.float32)
  weights = np.asarray(weights, np.float32)
  # An input that is always zero may be multiplied by anything, but not divided.
  weights = np.maximum(weights, 1e-6 * np.max(weights, initial=1e-30))
  return weights / np.mean(weights)


def generate(plan: Plan, tensors: Tensors, offsets: Maps, path: str) -> np.ndarray:
  """The kernel at `path` in full."""
  kernel = plan.kernels[path]
  own = {role: tensors[name] for role, name in kernel.tensors.items()}
  here = dict(offsets.get(path, {}))
  return weight_indices.generate(kernel.generator, kernel.shape, own, here)


def relative_error(kernel: np.ndarray, generated: np.ndarray) -> float:
  """Norm of the difference over the norm of the kernel; 0 for a kernel of zeros."""
  norm = float(np.linalg.norm(kernel))
  return float(np.linalg.norm(np.subtract(generated, kernel))) / norm if norm else 0.0


def _nearest(name: str, tensors: Tensors, targets: Sequence[_Target]) -> np.ndarray:
  """The numbers of one tensor at which its kernels are nearest to their targets.

  Args:
    name: of the tensor in the plan.
    tensors: all of them by name; the others stay as they are.
    targets: every kernel that is made of the tensor.
  """
  above, below = np.zeros(tensors[name].size), np.zeros(tensors[name].size)
  for target in targets:
    scale = 1.0
    if len(targets) > 1:
      energy = np.vdot(target.kernel, target.kernel * target.importance)
      scale = max(float(energy), 1e-30)
    numerators, denominators = _sums(name, tensors, target)
    above, below = above + numerators / scale, below + denominators / scale
  nearest = least_squares.quotient(above, below)
  return nearest.astype(np.float32).reshape(tensors[name].shape)


def _sums(
  name: str, tensors: Tensors, target: _Target
) -> tuple[np.ndarray, np.ndarray]:
  factors, index = target.read.factors(tensors, name), target.read.indices[name]

  def transposed(weights: np.ndarray) -> np.ndarray:
    return np.bincount(index, weights * factors, tensors[name].size)

  return least_squares.sums(transposed, factors, target.kernel, target.importance)
