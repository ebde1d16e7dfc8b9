"""The methods that are compared, in the order and the families in which they show."""

import re

FAMILIES = {
  "architecture": ("dense", "width", "depth_multiplier"),
  "fixed sampling": (
    "tile",
    "tile_scaled",
    "tile_uneven",
    "random",
    "random_uneven",
    "wsnet",
  ),
  "other compression": ("low_rank", "hashed", "pruned", "int8"),
  "learned": ("learned",),
}
OTHER = "other"

METHODS = tuple(method for members in FAMILIES.values() for method in members)

# Shared by a rule that nothing learns: what a learned one has to beat.
FIXED = (*FAMILIES["fixed sampling"], "hashed")


def known(name: str) -> str | None:
  """The known method that a name contains, such as `tile` in `mbv2_tile`, or None."""
  if re.search(r"(^|_)(learned|epitome)(_|$)", name):
    return "learned"
  matches = [m for m in METHODS if re.search(rf"(^|_){m}(_|$)", name)]
  return max(matches, key=len, default=None)


def family(name: str) -> str:
  """The family of the known method in a name; `OTHER` if there is none."""
  method = known(name)
  return next((f for f, members in FAMILIES.items() if method in members), OTHER)


def order(name: str) -> tuple:
  """Sort key: the order of `METHODS`, variants behind their method, others last."""
  method = known(name)
  position = METHODS.index(method) if method else len(METHODS)
  return (position, name != method, name)
