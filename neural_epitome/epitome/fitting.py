"""From a kernel to its stored tensors: the nearest in the sense of least squares.

Nearly all generators make a weight of one number of each of their tensors,

    W[i] = sign[i] * product over tensors T of T[index_T[i]],

with indices that follow from the plan and the routing map (the others know their own
fit, `GeneratorSpec.fit`). So each tensor has a closed form while the others are held:
a number is the mean of the weights that read it, weighted by the factors it is read
with. Where there are factors, a few rounds of this are a power iteration. Kernels that
share a tensor are fitted together, each relative to its own size.

With the mean square of each input as its importance, what is fitted is not the kernel
but what it makes of its inputs, as far as these are uncorrelated.

`search` chooses the routing map too: the nearest tensors for the map, the nearest map
for the tensors, in turn.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import jax
import numpy as np

from neural_epitome.epitome.generators import GeneratorSpec
from neural_epitome.epitome.plan import Plan
from neural_epitome.epitome.sampling import Shape

Kernels = Mapping[str, np.ndarray]
Maps = Mapping[str, Mapping[str, np.ndarray]]
Tensors = dict[str, np.ndarray]

# Rounds over the tensors of a plan where kernels have factors.
_ROUNDS = 3
# Rounds of a search, unless its caller has others.
SEARCH = range(20)
# Counters are read off a kernel in digits: a float32 counts to 2**24 only, and an
# embedding may have more numbers.
_DIGIT = 2**22


@dataclass(frozen=True)
class Reading:
  """What every weight of one kernel is made of.

  Attributes:
    indices: flat index into each tensor, by name, for every weight in row-major order.
    sign: +1 or -1 for every weight.
  """

  indices: Mapping[str, np.ndarray]
  sign: np.ndarray

  def factor(self, tensors: Tensors, without: str = "") -> np.ndarray:
    """The product of all that a weight is made of, but for one tensor."""
    product = self.sign
    for name, index in self.indices.items():
      if name != without:
        product = product * tensors[name].reshape(-1)[index]
    return product


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
    start: of the rounds; by default all ones.
    rounds: over the tensors, where a kernel is made of several.
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
  readings: list[tuple[np.ndarray, np.ndarray, Reading]] = []
  for path, kernel in plan.kernels.items():
    wanted = np.asarray(kernels[path], np.float32)
    worth = _worth(path, kernel.shape, importance)
    direct = kernel.generator.fit(wanted, worth)
    if direct is not None:
      tensors |= {kernel.tensors[role]: value for role, value in direct.items()}
      continue
    here = offsets.get(path, {})
    reading = read(kernel.generator, kernel.shape, here, kernel.tensors)
    every = np.broadcast_to(worth[:, None], wanted.shape).reshape(-1)
    readings.append((wanted.reshape(-1), every, reading))
  # The largest first: what it makes of factors of one, the others' factors mend.
  names = {name for *_, reading in readings for name in reading.indices}
  order = sorted(names, key=lambda name: -np.prod(plan.tensors[name].shape))
  start = start or {}
  for name in order:
    ones = np.ones(plan.tensors[name].shape, np.float32)
    tensors[name] = start.get(name, ones)
  readers = {
    name: [one for one in readings if name in one[-1].indices] for name in order
  }
  is_joint = any(len(reading.indices) > 1 for *_, reading in readings)
  for _ in range(rounds if is_joint else 1):
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
        _worth(path, plan.kernels[path].shape, importance),
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
  """What `fit` minimises."""
  total = 0.0
  for path in plan.compressed:
    root = np.sqrt(_worth(path, plan.kernels[path].shape, importance))[:, None]
    made = generate(plan, tensors, offsets, path)
    total += relative_error(kernels[path] * root, made * root) ** 2
  return total


def _worth(path: str, shape: Shape, importance: Kernels | None) -> np.ndarray:
  """What each input of a kernel counts, (Cin,), one on average."""
  found = (importance or {}).get(path)
  if found is None:
    return np.ones(shape[-2], np.float32)
  found = np.asarray(found, np.float32)
  # An input that is always zero may be multiplied by anything, but not divided.
  found = np.maximum(found, 1e-6 * np.max(found, initial=1e-30))
  return found / np.mean(found)


def generate(plan: Plan, tensors: Tensors, offsets: Maps, path: str) -> np.ndarray:
  """The kernel at `path` in full."""
  kernel = plan.kernels[path]
  own = {role: tensors[name] for role, name in kernel.tensors.items()}
  here = dict(offsets.get(path, {}))
  return np.asarray(_generate(kernel.generator, kernel.shape, own, here))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _generate(generator, shape, tensors, offsets):
  return generator.generate(tensors, offsets, shape)


def read(
  generator: GeneratorSpec,
  shape: Shape,
  offsets: Mapping[str, np.ndarray],
  names: Mapping[str, str],
) -> Reading:
  """How a kernel is read from its tensors, found by generating it from counters.

  Args:
    generator: of the kernel.
    shape: of the kernel.
    offsets: its routing map.
    names: of its tensors, by role.

  Raises:
    ValueError: for a routing map that is not of whole cells.
  """
  shapes = generator.tensors(shape)
  ones = {role: np.ones(size, np.float32) for role, size in shapes.items()}
  indices, sign = {}, np.ones(1, np.float32)
  for role, size in shapes.items():
    total = int(np.prod(size, dtype=np.int64))
    index, unit = np.zeros(1, np.int64), 1
    while unit == 1 or total > unit:
      digit = np.arange(total) // unit % _DIGIT + 1
      counter = {role: digit.astype(np.float32).reshape(size)}
      found = np.asarray(_generate(generator, shape, ones | counter, dict(offsets)))
      found = found.reshape(-1)
      if not np.array_equal(found, np.round(found)):
        raise ValueError("A kernel is fitted for offsets of whole cells only.")
      index = index + unit * (np.abs(found).astype(np.int64) - 1)
      sign, unit = np.sign(found), unit * _DIGIT
    indices[names[role]] = index
  return Reading(indices, sign)


def relative_error(kernel: np.ndarray, generated: np.ndarray) -> float:
  """Norm of the difference over the norm of the kernel; 0 for a kernel of zeros."""
  norm = float(np.linalg.norm(kernel))
  return float(np.linalg.norm(np.subtract(generated, kernel))) / norm if norm else 0.0


def _nearest(
  name: str,
  tensors: Tensors,
  readers: Sequence[tuple[np.ndarray, np.ndarray, Reading]],
) -> np.ndarray:
  """One tensor, the others held: a division, as no weight reads two of its numbers."""
  held = tensors[name]
  above, below = np.zeros(held.size), np.zeros(held.size)
  for wanted, worth, reading in readers:
    factor, index = reading.factor(tensors, without=name), reading.indices[name]
    weighted = wanted * worth
    size = max(float(np.vdot(wanted, weighted)), 1e-30) if len(readers) > 1 else 1.0
    every = factor**2 * worth
    above += np.bincount(index, weighted * factor, held.size) / size
    below += np.bincount(index, every, held.size) / size
  # What no weight reads may be anything.
  return (above / np.maximum(below, 1e-30)).astype(np.float32).reshape(held.shape)
