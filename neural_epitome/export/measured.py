"""Which kernels to fold, by the time that it takes in the runtime at hand.

A narrow convolution may be slower than the wide one that it replaces, and wrapping and
replicating move memory: how much, only the machine knows.
"""

import statistics
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from neural_epitome.cost import latency
from neural_epitome.epitome.generators import Dense
from neural_epitome.export import program, shipping, sites
from neural_epitome.export.sites import Site
from neural_epitome.training.loading import Trained

Layer = Callable[[jax.Array], jax.Array]
# A function of one array as a call of a runtime, which returns when it is done.
Compile = Callable[[Layer, tuple[int, ...]], Callable[[np.ndarray], Any]]

_ROUNDS = 30


def faster_decoded(
  trained: Trained, compile_layer: Compile, batch: int = 1, *, quiet: bool = False
) -> tuple[str, ...]:
  """Paths of the compressed kernels that are better built once than folded.

  Args:
    trained: from `shipping.shipped`.
    compile_layer: of the runtime; see the modules of programs.
    batch: examples at a time.
    quiet: shows no progress.

  Returns:
    Those whose layer, with the batch norm after it, took longer folded than built,
    median against median, both timed in turns; and those that do not fold.
  """
  found = sites.find(trained, batch)
  folded, dense = (program.run_as(trained, mode) for mode in ("fold", "decode"))
  seen: dict[Any, bool] = {}
  slower = []
  for path in tqdm(trained.plan.compressed, "timing layers", disable=quiet or None):
    kernel, site = trained.plan.kernels[path], found[path]
    key = (kernel.shape, kernel.generator, site.input_shape, site.application)
    if key not in seen:
      layers = [_layer(network, path, site) for network in (folded, dense)]
      seen[key] = None in layers or _is_slower(*layers, site.input_shape, compile_layer)
    if seen[key]:
      slower.append(path)
  return tuple(slower)


def _layer(network: Trained, path: str, site: Site) -> Layer | None:
  """The layer and the batch norm after it; None for a kernel that does not fold."""
  kernel = network.plan.kernels[path]
  params = shipping.parameters(network.variables)
  tensors = {role: params[name] for role, name in kernel.tensors.items()}
  offsets = shipping.offsets(network.plan, network.variables).get(path, {})
  after = [params.get(f"{site.norm}/{name}") for name in ("scale", "bias")]
  ones = (1,) * (len(site.input_shape) - 1)
  scale, bias = (None if a is None else a.reshape(*ones, -1) for a in after)

  def apply(x: jax.Array) -> jax.Array | None:
    if isinstance(kernel.generator, Dense):
      return site.application(x, tensors["kernel"])
    return kernel.generator.fold(x, tensors, offsets, kernel.shape, site.application)

  def layer(x: jax.Array) -> jax.Array:
    y = apply(x)
    y = y if scale is None else y * scale
    return y if bias is None else y + bias

  example = jax.ShapeDtypeStruct(site.input_shape, np.float32)
  return None if jax.eval_shape(apply, example) is None else layer


def _is_slower(
  folded: Layer, dense: Layer, shape: tuple[int, ...], compile_layer: Compile
) -> bool:
  x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
  calls = {"fold": compile_layer(folded, shape), "dense": compile_layer(dense, shape)}
  runs = {name: lambda run=run: run(x) for name, run in calls.items()}
  latency.alternate(runs, 3)
  seconds = latency.alternate(runs, _ROUNDS)
  return statistics.median(seconds["fold"]) > statistics.median(seconds["dense"])
