"""A kernel that trains for several sizes at once, before one of them is chosen.

The kernel is stored in full, and several generators of different sizes, its members,
stand by. In a forward pass one member is chosen, and the layer uses the kernel of that
member that is nearest to the stored one in least squares. The routing map holds the
choice as one offset, the member's index. With `indices.source=drawn` every training
step draws it anew, so that one set of weights works at all sizes, as in a supernet
(SPOS, arXiv 1904.00420).
"""

import dataclasses
import functools
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from neural_epitome.epitome import least_squares, varying
from neural_epitome.epitome.generators.base import (
  Array,
  GeneratorSpec,
  Initializer,
  Shape,
  Tensors,
)
from neural_epitome.epitome.generators.dense import Dense
from neural_epitome.errors import UserError


@dataclasses.dataclass(frozen=True)
class Elastic(GeneratorSpec):
  """The kernel that a member generates, nearest to the one that is stored.

  Attributes:
    members: generators, the first of which is read where the routing map starts at
      zero. They store one tensor, and each weight is one of its numbers, up to sign.
  """

  kind: ClassVar[str] = "elastic"

  members: tuple[GeneratorSpec, ...] = (Dense(),)

  def check(self, shape: Shape) -> None:
    """Raises UserError without members, or for one that cannot be read so."""
    if not self.members:
      raise UserError("Elastic(members=()) needs at least one generator.")
    for member in self.members:
      member.check(shape)
      zeros, even = np.zeros(shape, np.float32), np.ones(shape[-2], np.float32)
      has_own_fit = member.fit(zeros, even) is not None
      if not isinstance(member, Dense) and (
        has_own_fit or len(member.tensors(shape)) != 1
      ):
        raise UserError(
          f"{member.kind} cannot be read at several sizes: every weight must be one "
          "number of one tensor, as of an epitome without factors, wsnet or hashed."
        )

  def tensors(self, shape: Shape) -> dict[str, Shape]:
    """One tensor, `kernel`, of the kernel's shape."""
    return {"kernel": shape}

  def offsets(self, shape: Shape) -> dict[str, Shape]:
    """One offset, `member`, of one number: the index of the member that is read."""
    del shape
    return {"member": (1,)}

  def start_cells(self, shape: Shape) -> dict[str, Shape]:
    """An offset may start at the index of any member."""
    del shape
    return {"member": (len(self.members),)}

  def init(
    self, key: Array, shape: Shape, offsets: Tensors, initializer: Initializer
  ) -> dict[str, Array]:
    """`initializer` on the kernel's shape."""
    del offsets
    return {"kernel": initializer(key, shape)}

  def generate(self, tensors: Tensors, offsets: Tensors, shape: Shape) -> Array:
    """The kernel of the member whose index is the offset, rounded."""
    reads = [functools.partial(nearest, member, shape) for member in self.members]
    index = jnp.round(offsets["member"][0]).astype(jnp.int32)
    return jax.lax.switch(index, reads, tensors["kernel"])

  def fit(self, kernel: np.ndarray, importance: np.ndarray) -> dict[str, np.ndarray]:
    """The kernel."""
    del importance
    return {"kernel": kernel}


def nearest(member: GeneratorSpec, shape: Shape, kernel: Array) -> Array:
  """The kernel nearest to `kernel` of those that a member generates at zero offsets."""
  if isinstance(member, Dense):
    return kernel
  [(role, size)] = member.tensors(shape).items()
  offsets = {
    axis: jnp.zeros(of_axis, jnp.float32)
    for axis, of_axis in member.offsets(shape).items()
  }

  def generated(stored: Array) -> Array:
    return member.generate({role: stored}, offsets, shape)

  ones, kernel = varying.alike(jnp.ones(size, jnp.float32), kernel)
  factors, transposed = jax.vjp(generated, ones)
  sums = least_squares.sums(lambda array: transposed(array)[0], factors, kernel)
  return generated(least_squares.quotient(*sums))
