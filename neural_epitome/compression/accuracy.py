"""What errors of kernels cost a network, measured: bytes go where they are needed.

Each kernel alone is stored with a moderate error, and the loss of score over that error
is its sensitivity. To first order losses add up, so these are the weights of the errors
whose sum a budget minimises.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from neural_epitome.compression import choices, kernel_error, progress
from neural_epitome.compression import drop as dropping
from neural_epitome.compression.best import Choosing
from neural_epitome.compression.choice import Choice
from neural_epitome.compression.compressed import Compressed
from neural_epitome.epitome import rounding
from neural_epitome.epitome.error_feedback import Inputs
from neural_epitome.errors import UserError

# Of a tree of the structure that was compressed: higher is better.
Evaluate = Callable[[Any], float]
# What errors of kernels count, by name; None where all count alike.
Weights = Mapping[str, float] | None
# Squared relative error at which a kernel is tried.
_TRIED = 0.15
# A kernel counts this share of the largest loss at least: what was measured is noisy.
_LEAST = 0.05
# Of sensitivities, from which the weights of errors that are tried are had.
_POWERS = (1.0, 0.5, 0.0)


def sensitivities(
  choosing: Choosing, evaluate: Evaluate, quiet: bool = False
) -> dict[str, float]:
  """What the squared error of every kernel costs, relative to their mean.

  Args:
    choosing: the tree, its kernels compared.
    evaluate: the score of a tree; higher is better.
    quiet: shows no progress.

  Returns:
    By the kernels' names, above 0.

  Raises:
    UserError: if the score is not finite.
  """
  base = _score(evaluate, choosing.tree({}))
  losses, errors = {}, {}
  for path in progress.shown(choosing.tables, quiet, "evaluating"):
    table = choosing.tables[path]
    choice = min(table, key=lambda one: abs(np.log(max(one.error, 1e-9) / _TRIED)))
    kernel, inputs = choosing.kernel(path), choosing.inputs.get(path)
    made = _remade(kernel, choice, inputs)
    errors[path] = max(kernel_error.error(kernel, made, inputs), 1e-9)
    losses[path] = base - _score(evaluate, choosing.tree({path: made}))
  least = _LEAST * max(*losses.values(), 1e-12)
  weights = {path: max(loss, least) / errors[path] for path, loss in losses.items()}
  mean = sum(weights.values()) / len(weights)
  return {path: weight / mean for path, weight in weights.items()}


def best_of(
  make: Callable[[Weights], Compressed],
  weights: dict[str, float],
  score: Callable[[Compressed], float],
) -> Compressed:
  """What `make` makes of sensitivities, of their roots or of none, the best by score.

  Losses of score add up where errors are small. At few bytes they do not, and kernels
  that cost little by themselves may be ruined together: then even weights are better.
  """
  made = [make(some) for some in _tried(weights)]
  scores = [float(score(small)) for small in made]
  # Of what is ruined, a score may be no number.
  return made[int(np.argmax(np.nan_to_num(scores, nan=-np.inf)))]


def smallest(
  make: Callable[[int, Weights], Compressed],
  weights: dict[str, float] | None,
  drop: Callable[[Compressed], float],
  max_drop: float,
  whole: int,
) -> Compressed:
  """The smallest file within a bound, of those that `best_of` chooses among.

  Args:
    make: what is made of so many bytes by sensitivities.
    weights: sensitivities; without, errors of all kernels count alike.
    drop: see `drop.smallest`.
    max_drop: see there.
    whole: see there.

  Raises:
    UserError: see there.
  """
  ways = [lambda budget, some=some: make(budget, some) for some in _tried(weights)]
  return dropping.smallest(ways, drop, max_drop, whole)


def check_aim(
  budget: str | None, max_drop: float | None, evaluate: Callable[..., float] | None
) -> None:
  """Raises UserError unless either a budget is given or a drop that can be measured."""
  if (budget is None) == (max_drop is None):
    raise UserError("Give a budget, as '20x' or '300kB', or max_drop=, one of them.")
  if max_drop is not None:
    dropping.check(max_drop)
    if evaluate is None:
      raise UserError("max_drop= needs evaluate=, the score that may drop.")


def _tried(weights: dict[str, float] | None) -> list[Weights]:
  if weights is None:
    return [None]
  return [
    {path: weight**power for path, weight in weights.items()} if power else None
    for power in _POWERS
  ]


def _remade(kernel: np.ndarray, choice: Choice, inputs: Inputs | None) -> np.ndarray:
  """A kernel as it is read when it is stored so."""
  stored = choices.store(kernel, choice, inputs=inputs)
  generator = stored.choice.generator
  starts = {axis: jnp.asarray(m, jnp.int32) for axis, m in stored.offsets.items()}
  widths = {role: generator.tensor_bits(role) or choice.bits for role in stored.tensors}
  tensors = {role: jnp.asarray(array) for role, array in stored.tensors.items()}
  tensors = rounding.rounded(tensors, widths)
  return np.asarray(generator.generate(tensors, starts, kernel.shape))


def _score(evaluate: Evaluate, tree: Any) -> float:
  score = float(evaluate(tree))
  if not np.isfinite(score):
    raise UserError(f"evaluate gave {score}, which is no score.")
  return score
