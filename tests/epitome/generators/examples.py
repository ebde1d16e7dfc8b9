"""Examples of every registered generator and rule: what the properties are tried on.

A generator is registered by being imported, so whatever declares one is imported here,
wherever in the package it stands. One without an example fails by its name.
"""

import importlib
import math
import re
from collections.abc import Callable
from pathlib import Path

import jax

import neural_epitome
from neural_epitome.epitome import routing
from neural_epitome.epitome.generators import Dense, Epitome, GeneratorSpec, Rule

_PACKAGE = Path(neural_epitome.__file__).parent
_DECLARES = re.compile(r"^class \w+\((GeneratorSpec|Rule|SharingRule)\)", re.MULTILINE)


def _registered(base: type) -> dict[str, type]:
  for file in sorted(_PACKAGE.rglob("*.py")):
    if _DECLARES.search(file.read_text(encoding="utf-8")):
      parts = file.relative_to(_PACKAGE.parent).with_suffix("").parts
      importlib.import_module(".".join(parts))
  # Other tests may define arms of their own.
  return {
    kind: arm
    for kind, arm in base.arms().items()
    if arm.__module__.startswith(f"{neural_epitome.__name__}.")
  }


GENERATORS = _registered(GeneratorSpec)
RULES = _registered(Rule)


def small(shape: tuple[int, ...], margin: int = 0) -> tuple[int, ...]:
  """An epitome's shape: ragged replicas on both channel axes."""
  window = [size + margin for size in shape[:-2]]
  return (*window, -(-2 * shape[-2] // 5), -(-2 * shape[-1] // 3))


Make = Callable[[type, tuple[int, ...]], GeneratorSpec]
# By kind and name: the generator of that class for a kernel of a shape.
EXAMPLES: dict[str, dict[str, Make]] = {
  "channel_epitome": {
    "output": lambda arm, shape: arm(-(-shape[-1] // 3)),
    "input": lambda arm, shape: arm(-(-shape[-2] // 2), "input"),
  },
  "dense": {"": lambda arm, shape: arm()},
  "elastic": {
    "": lambda arm, shape: arm((Dense(), Epitome(small(shape), "factorised"))),
  },
  "epitome": {
    "tile": lambda arm, shape: arm(small(shape), "tile"),
    "cropped": lambda arm, shape: arm(small(shape, 1), "factorised"),
    "blockwise": lambda arm, shape: arm(small(shape), "blockwise"),
    "narrow": lambda arm, shape: arm((*shape[:-2], shape[-2] // 2, shape[-1]), "tile"),
    "scaled": lambda arm, shape: arm(small(shape), "factorised", scaled=True),
  },
  "hashed": {"": lambda arm, shape: arm(math.prod(shape) // 3, seed=7)},
  "low_rank": {
    "": lambda arm, shape: arm(min(3 * shape[-2], shape[-1]) // 2),
    "pruned": lambda arm, shape: arm(min(shape[-2:]) // 3, (0, shape[-2] // 2)),
  },
  "shared_epitome": {
    "": lambda arm, shape: arm(math.prod(shape) // 3 + 1, start=11, block=40),
  },
  "windowed_epitome": {
    "taps": lambda arm, shape: arm(60, (*shape[:-2], 1)),
    "inputs": lambda arm, shape: arm(61, (*(1,) * (len(shape) - 2), 3)),
    "outputs": lambda arm, shape: arm(62, (*(1,) * (len(shape) - 2), 2, 3), False),
  },
  "wsnet": {
    "": lambda arm, shape: arm(5.0),
    "repeated": lambda arm, shape: arm(1.3, 4),
    "denser": lambda arm, shape: arm(1.3, 2, 2),
  },
}

# What has one, and where there is none an empty name for the kind to fail by.
CASES = [
  (kind, name) for kind in sorted(GENERATORS) for name in EXAMPLES.get(kind, [""])
]
NAMES = [f"{kind}-{name}" if name else kind for kind, name in CASES]


def generator(kind: str, name: str, shape: tuple[int, ...]) -> GeneratorSpec:
  """The example of that name for a kernel of a shape."""
  if kind not in EXAMPLES:
    raise AssertionError(
      f"the generator {kind!r} has no example in tests/epitome/generators/examples.py"
    )
  example = EXAMPLES[kind][name](GENERATORS[kind], shape)
  example.check(shape)
  return example


def offsets(
  generator: GeneratorSpec, shape: tuple[int, ...], seed: int = 0
) -> dict[str, jax.Array]:
  """Whole cells to read from, other ones for every replica."""
  shapes, cells = generator.offsets(shape), generator.start_cells(shape)
  options = routing.IndexOptions(start="random")
  return routing.starting_offsets(options, jax.random.key(seed), shapes, cells)
