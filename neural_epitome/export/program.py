"""A network that ships as the program that a runtime executes: folded, built or dense.

What only a trainer needs apart is merged: a batch norm is one factor and one shift a
channel, and where the tensors of the layer before can take the factor, a shift alone.
A runtime fuses that into the convolution, or the loop, beside it.
"""

import collections
import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from neural_epitome.epitome import convolution, flat_variables
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.execution import execute
from neural_epitome.epitome.plan import Plan
from neural_epitome.epitome.stream import Replicated, Stream, zeros_behind
from neural_epitome.errors import UserError
from neural_epitome.export import graph, inference_model
from neural_epitome.export.graph import Site
from neural_epitome.training import setup
from neural_epitome.training.trained import Trained

Mode = Literal["fold", "materialise", "decode"]
Arrays = dict[str, np.ndarray]
# Of images, and of kernels that are kept apart from the network.
Function = Callable[..., jax.Array]


def run_as(trained: Trained, execution: Mode, decoded: Collection[str] = ()) -> Trained:
  """The same network as a program, its tensors rounded here; its answers are the same.

  Args:
    trained: from `inference_model.shipped`.
    execution: `fold` where it can be done and `materialise` elsewhere; `materialise`;
      or `decode`, every kernel built here, once: the dense network.
    decoded: paths of kernels that are built here whatever the others are.
  """
  sites = graph.find(trained)
  trained = inference_model.rounded(trained)
  compressed = trained.plan.compressed
  trained = _decode(trained, compressed if execution == "decode" else decoded)
  params = _merged(trained.plan, flat_variables.parameters(trained.variables), sites)
  how = "fold" if execution == "fold" else "materialise"
  config = dataclasses.replace(trained.config, execution=how)
  return dataclasses.replace(
    trained,
    model=setup.build(config, len(trained.classes), trained.plan, merged=True),
    variables={
      "params": flat_variables.nested(params),
      "routing": trained.variables.get("routing", {}),
    },
    config=config,
  )


def _decode(trained: Trained, paths: Collection[str]) -> Trained:
  """The network with these kernels stored in full."""
  if not paths:
    return trained
  inventory = setup.take_inventory(trained.config, len(trained.classes))
  params = flat_variables.parameters(trained.variables)
  offsets = flat_variables.offsets(trained.plan, trained.variables)
  left = {p: trained.plan.kernels[p] for p in trained.plan.compressed if p not in paths}
  plan = plans.make(
    inventory.kernels,
    {path: kernel.generator for path, kernel in left.items()},
    {path: kernel.tensors for path, kernel in left.items()},
  )
  kept = {
    name: a for name, a in params.items() if name in (*plan.tensors, *inventory.rest)
  }
  for path in paths:
    kernel = trained.plan.kernels[path]
    # Of JAX: some generators index them with its arrays.
    tensors = {r: jnp.asarray(params[name]) for r, name in kernel.tensors.items()}
    full = kernel.generator.generate(tensors, offsets.get(path, {}), kernel.shape)
    kept[path] = np.asarray(full)
  maps = {path: axes for path, axes in offsets.items() if path in left}
  return dataclasses.replace(
    trained,
    plan=plan,
    variables={
      "params": flat_variables.nested(kept),
      "routing": flat_variables.with_offsets(maps),
    },
  )


def _merged(plan: Plan, params: Arrays, sites: Mapping[str, Site]) -> Arrays:
  """Parameters whose batch norms have no scale where the kernel before takes it."""
  merged = dict(params)
  users = collections.Counter(
    name for kernel in plan.kernels.values() for name in kernel.tensors.values()
  )
  for path, kernel in plan.kernels.items():
    norm = sites[path].norm
    if norm is None or any(users[name] > 1 for name in kernel.tensors.values()):
      continue
    tensors = {role: params[name] for role, name in kernel.tensors.items()}
    factors = params[f"{norm}/scale"]
    scaled = kernel.generator.scale_outputs(tensors, factors, kernel.shape)
    if scaled is None:
      continue
    merged |= {kernel.tensors[role]: np.asarray(t) for role, t in scaled.items()}
    del merged[f"{norm}/scale"]
    bias = plans.beside(path, "bias")
    if bias in merged:
      merged[bias] = merged[bias] * factors
  return merged


def logits(trained: Trained, apart: Sequence[str] = ()) -> Function:
  """A function from images to logits, in which the network's numbers are constants.

  Args:
    trained: from `run_as`.
    apart: parameters that are further arguments of the function.
  """
  params = flat_variables.parameters(trained.variables)

  def run(images: jax.Array, *values: jax.Array) -> jax.Array:
    variables = trained.variables
    if values:
      numbers = params | dict(zip(apart, values, strict=True))
      variables = variables | {"params": flat_variables.nested(numbers)}
    answers: Any = trained.model.apply(variables, images, train=False)
    return answers

  return run


def layer(trained: Trained, path: str, site: Site) -> tuple[Function, tuple[int, ...]]:
  """One layer as the network runs it, the batch norm after it included, without bias.

  Args:
    trained: from `run_as`.
    path: of its kernel.
    site: of the kernel; what is a stream is read and written as it is carried.

  Returns:
    The layer, and the shape of what it reads.
  """
  kernel = trained.plan.kernels[path]
  params = flat_variables.parameters(trained.variables)
  tensors = {role: params[name] for role, name in kernel.tensors.items()}
  offsets = flat_variables.offsets(trained.plan, trained.variables).get(path, {})
  after = [params.get(f"{site.norm}/{name}") for name in ("scale", "bias")]
  ones = (1,) * (len(site.input_shape) - 1)
  scale, bias = (None if a is None else a.reshape(*ones, -1) for a in after)

  shape = (
    site.input_shape if site.reads is None else (*site.input_shape[:-1], site.reads)
  )

  def run(x: jax.Array) -> jax.Array:
    y: Any = execute(
      x if site.reads is None else _Carried(x, site.input_shape),
      *(kernel.generator, tensors, offsets, kernel.shape, site.application),
      trained.config.execution,
    )
    if isinstance(y, Replicated):
      factors, shifts = (None if a is None else a.ravel() for a in (scale, bias))
      return y.scaled(factors, shifts).wrapped(y.cells)
    y = y if scale is None else y * scale
    return y if bias is None else y + bias

  return run, shape


class _Carried(Stream):
  """What layers before have made of a stream, as those behind them read it."""

  def __init__(self, x: jax.Array, shape: tuple[int, ...]):
    super().__init__(shape, x.dtype, x.shape[-1])
    self._x = x

  def _full(self) -> jax.Array:
    raise NotImplementedError("Only its wrapped form is known.")

  def _wrapped(self, cells: int) -> jax.Array:
    assert cells == self.cells
    least = min(convolution.least_channels(), self.shape[-1])
    return zeros_behind(self._x, -1, max(cells, least))


def converted(
  trained: Trained,
  convert: Callable[..., bytes],
  batch: int | str = 1,
  apart: Sequence[str] = (),
) -> bytes:
  """Converts a network, or names the layer that the converter does not take.

  Args:
    trained: from `run_as`.
    convert: of a function and the shapes of its arguments; raises UserError for a
      function that it does not take.
    batch: first axis of that shape, a name for any number.
    apart: as of `logits`.

  Raises:
    UserError: with the path of the first kernel whose layer is not taken alone either,
      or the network's name where all are.
  """
  try:
    params = flat_variables.parameters(trained.variables)
    shapes = [params[name].shape for name in apart]
    images = (batch, *trained.config.data.input_shape)
    return convert(logits(trained, apart), images, *shapes)
  except UserError as error:
    reason, tried = str(error), set()
  for path, site in graph.find(trained).items():
    kind = trained.plan.kernels[path].generator, site.application
    if kind not in tried:
      tried.add(kind)
      try:
        convert(*layer(trained, path, site))
      except UserError as error:
        raise UserError(f"{path} cannot be exported as it is run: {error}") from None
  raise UserError(f"{trained.config.name} cannot be exported as it is run: {reason}")
