"""The rules of Neural Search-space Evolution: what is dropped, scored and retained.

Ci et al., ICCV 2021, arXiv 2011.10904; constants are those of the authors' code. A
round trains a supernet of the operations in use (`option_pools`), its gates beside it
(`policies.two_paths`). Then architectures of about the target's price are drawn from
the gates and scored, those of earlier rounds are scored again by the same weights, and
what is on the front is retained.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp

from neural_epitome.spaces.arch import ArchEncoding
from neural_epitome.strategies.archive import ParetoArchive

DROPPED_BELOW = -2.0
_FRONT = ParetoArchive(minimised=("price",), maximised=("top1",))
# Draws for each architecture that is wanted, and in a row that bring nothing new,
# before no more are looked for.
_TRIES, _IN_VAIN = 50, 10_000

Measured = Sequence[tuple[ArchEncoding, Mapping[str, float]]]
A = TypeVar("A", bound=ArchEncoding)


def still_active(
  alpha: jax.Array, active: jax.Array, kept: jax.Array, may_be_empty: jax.Array
) -> jax.Array:
  """The operations that stay in use after a step: bool (cells, K).

  One whose alpha is below `DROPPED_BELOW` leaves, unless an architecture that was
  retained has it. A cell that changes width or size keeps its two best: it needs one,
  and two different sets of operations to learn from. The authors' code may empty such a
  cell of three, and fails then.

  Args:
    alpha: float32 (cells, K).
    active: bool (cells, K), in use now.
    kept: bool (cells, K), that architectures of the rounds before have.
    may_be_empty: bool (cells,).
  """
  stays = active & ((alpha >= DROPPED_BELOW) | kept)
  ranked = jnp.where(active, alpha, -jnp.inf)
  best = jnp.argsort(jnp.argsort(-ranked, axis=-1), axis=-1) < 2
  guarded = active & best & ~may_be_empty[:, None]
  return stays | guarded


def draw_window(
  draw: Callable[[], Iterable[A]],
  price: Callable[[A], float],
  target: float,
  drift: float,
  count: int,
  *,
  below: float = 0.0,
  extra: int = 0,
) -> tuple[list[A], list[A]]:
  """Different architectures whose price is about the target's, and some below those.

  Args:
    draw: draws a few from the gates.
    price: of one.
    target: NSE has 300 million multiply-adds.
    drift: half of the window's width, the ends left out. The published settings lack
      it; take a few percent of the target.
    count: of them.
    below: width of the strip that ends where the window begins.
    extra: architectures of the strip, which only tighten the front from below.

  Returns:
    Those of the window and those of the strip; fewer where draws seldom fall there.
  """
  inside: dict[A, None] = {}
  strip: dict[A, None] = {}
  found, drawn, latest = 0, 0, 0
  while drawn < _TRIES * (count + extra) and drawn - latest < _IN_VAIN:
    if len(inside) >= count and len(strip) >= extra:
      break
    for arch in draw():
      drawn += 1
      away = price(arch) - target
      if -drift < away < drift:
        inside[arch] = None
      elif -drift - below < away <= -drift:
        strip[arch] = None
    now = min(len(inside), count) + min(len(strip), extra)
    if now > found:
      found, latest = now, drawn
  return list(inside)[:count], list(strip)[:extra]


def retained(new: Measured, old: Measured, extra: Measured) -> list[ArchEncoding]:
  """The architectures on the front of all, those of `extra` left out.

  Args:
    new: drawn in this round, each with its `price` and `top1`.
    old: retained before, scored again by this round's weights; where one ties with a
      new architecture by both, the new one is retained.
    extra: below the window.
  """
  front = _FRONT.add([*new, *old, *extra]).points
  fresh, passed = {arch for arch, _ in new}, {arch for arch, _ in extra}
  values = {point.values for point in front if point.arch in fresh}
  return [
    point.arch
    for point in front
    if point.arch in fresh or (point.arch not in passed and point.values not in values)
  ]
