"""A network that ships as the program that a runtime executes: folded, built or dense.

What only a trainer needs apart is merged: a batch norm is one factor and one shift a
channel, and where the tensors of the layer before can take the factor, a shift alone.
A runtime fuses that into the convolution, or the loop, beside it. All in float32.
"""

import collections
import dataclasses
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.layers import GeneratedLayer
from neural_epitome.epitome.plan import Plan
from neural_epitome.export import shipping
from neural_epitome.models.normalization import BatchNorm
from neural_epitome.training import setup
from neural_epitome.training.loading import Trained

Mode = Literal["fold", "materialise", "decode"]
Parameters = dict[str, np.ndarray]


def run_as(trained: Trained, execution: Mode) -> Trained:
  """The same network as a program, rounded before; its answers are the same.

  Args:
    trained: from `shipping.shipped`.
    execution: `fold` where it can be done and `materialise` elsewhere; `materialise`;
      or `decode`, every kernel built here, once: the dense network.
  """
  norms = _norms_after_layers(trained)
  trained = shipping.rounded(trained)
  plan, params = trained.plan, shipping.parameters(trained.variables)
  maps = shipping.flatten(trained.variables.get("routing", {}))
  if execution == "decode":
    plan, params, maps = *_decoded(trained, params, maps), {}
  training = dataclasses.replace(trained.config.training, precision="float32")
  how = "fold" if execution == "fold" else "materialise"
  config = dataclasses.replace(trained.config, training=training, execution=how)
  return dataclasses.replace(
    trained,
    model=setup.build(config, len(trained.classes), plan, merged=True),
    variables={
      "params": shipping.nested(_merged(plan, params, norms)),
      "routing": shipping.nested(maps),
    },
    plan=plan,
    config=config,
  )


def _decoded(
  trained: Trained, params: Parameters, maps: Parameters
) -> tuple[Plan, Parameters]:
  """The dense plan, and parameters with every kernel built."""
  inventory = setup.take_inventory(trained.config, len(trained.classes))
  kept = {name: params[name] for name in inventory.rest}
  for path, kernel in trained.plan.kernels.items():
    axes = kernel.generator.offsets(kernel.shape)
    kept[path] = np.asarray(
      kernel.generator.generate(
        {role: params[name] for role, name in kernel.tensors.items()},
        {axis: maps[plans.beside(path, f"map/{axis}")] for axis in axes},
        kernel.shape,
      )
    )
  return plans.make(inventory.kernels, {}), kept


def _merged(plan: Plan, params: Parameters, norms: dict[str, str]) -> Parameters:
  """Parameters whose batch norms have no scale where the kernel before takes it."""
  merged = dict(params)
  users = collections.Counter(
    name for kernel in plan.kernels.values() for name in kernel.tensors.values()
  )
  for path, norm in norms.items():
    kernel = plan.kernels[path]
    if any(users[name] > 1 for name in kernel.tensors.values()):
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


def _norms_after_layers(trained: Trained) -> dict[str, str]:
  """Paths of the batch norms that read a layer's output as it comes, by kernel path."""
  outputs: list[tuple[str, jax.Array]] = []
  found: dict[str, str] = {}

  def watch(call: Any, arguments: Any, options: Any, context: Any) -> Any:
    module = context.module
    if context.method_name != "__call__":
      return call(*arguments, **options)
    if isinstance(module, BatchNorm):
      layers = [path for path, output in outputs if output is arguments[0]]
      found.update({path: "/".join(module.path) for path in layers})
    result = call(*arguments, **options)
    if isinstance(module, GeneratedLayer):
      # Kept, so that no other array is ever this one.
      outputs.append(("/".join((*module.path, "kernel")), result))
    return result

  def run(images: jax.Array) -> jax.Array:
    with nn.intercept_methods(watch):
      return trained.model.apply(trained.variables, images, train=False)

  shape = (1, *trained.config.data.input_shape)
  jax.eval_shape(run, jax.ShapeDtypeStruct(shape, jnp.float32))
  return found
