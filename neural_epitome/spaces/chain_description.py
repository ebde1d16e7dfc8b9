"""A choice of a chain space as people look at it."""

from neural_epitome.models.chain import OPERATIONS
from neural_epitome.spaces.arch import Arch
from neural_epitome.spaces.chain_space import ChainSpace
from neural_epitome.spaces.description import Bar, Description, Place

HEADERS = ("block", "input", "window", "width", "of", "operation", "rates", "bits")


def describe(space: ChainSpace, arch: Arch) -> Description:
  """A row and a bar for each block, and a last row for head and classifier."""
  return Description(
    headers=HEADERS,
    rows=rows(space, arch),
    places=_places(space, arch),
    place="block",
    unit="hidden channels",
    title="outlined: what it was chosen from",
  )


def rows(space: ChainSpace, arch: Arch) -> list[list[str]]:
  """One row for each block, and a last one for head and classifier.

  The row of a block that is left out says so.
  """
  rows = []
  for index, (position, inputs) in enumerate(
    zip(space.positions, space.inputs(arch), strict=False)
  ):
    width = int(arch.width[index])
    read = f"{position.size}x{position.size}x{inputs}"
    if not width:
      rows.append([str(index), read, "", "left out", str(position.largest), "", "", ""])
      continue
    window = int(arch.window[index])
    rows.append(
      [
        str(index),
        read,
        f"{window}x{window}" + (f" /{position.stride}" if position.stride > 1 else ""),
        str(width),
        str(position.largest),
        OPERATIONS[int(arch.operation[index])],
        *_stored(arch, index),
      ]
    )
  position = space.positions[-1]
  size = -(-position.size // position.stride)
  read = f"{size}x{size}x{space.inputs(arch)[-1]}"
  width = str(space.head)
  return [*rows, ["head", read, "", width, width, "classifier", *_stored(arch, -1)]]


def _stored(arch: Arch, index: int) -> list[str]:
  """Rates and bits of two kernels."""
  return [", ".join(map(str, gene[index].tolist())) for gene in (arch.rate, arch.bits)]


def _places(space: ChainSpace, arch: Arch) -> tuple[Place, ...]:
  """Hidden channels as height, windows as shade."""
  windows = sorted(space.windows)
  places = []
  for index, position in enumerate(space.positions):
    width, window = int(arch.width[index]), int(arch.window[index])
    rates, bits = arch.rate[index].tolist(), arch.bits[index].tolist()
    caption = f"{window}x{window}"
    caption += f"\n1/{rates[0]}, 1/{rates[1]}" if max(rates) > 1 else ""
    caption += f"\n{bits[0]}, {bits[1]} bit" if min(bits) < 32 else ""
    shade = 0.35 + 0.65 * windows.index(window) / max(1, len(windows) - 1)
    bars = (Bar(width, caption, shade),) if width else ()
    places.append(Place(bars, position.largest))
  return tuple(places)
