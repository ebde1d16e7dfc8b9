"""Objects in a pickle whose classes are not known: nothing of them is ever run."""

import re
from typing import Any

from neural_epitome.errors import UserError
from neural_epitome.state_dicts.leaves import shown

# Calls that make values of Python and NumPy, which no weights are among.
VALUES = re.compile(
  r"_codecs\.encode|collections\.(Counter|deque)|(copyreg|copy_reg)\._reconstructor"
  r"|(builtins|__builtin__)\.(set|frozenset|complex|bytearray|slice|x?range|object)"
  r"|torch\.device"
  r"|numpy\.(_?core\.multiarray\.(scalar|_reconstruct)|dtype|ndarray)"
  r"|pathlib\.(_local\.)?(Pure)?(Posix|Windows)?Path|datetime\.\w+"
)


class Object:
  """Stands for an object of a class that is not known here; does nothing.

  Attributes:
    state: what a pickle sets on it.
  """

  state: Any = None

  def __new__(cls, *_: Any) -> "Object":
    """Takes whatever the class that it stands for was given."""
    return super().__new__(cls)

  def __setstate__(self, state: Any) -> None:
    self.state = state

  def __setitem__(self, key: Any, value: Any) -> None:
    del key, value

  def append(self, value: Any) -> None:
    """Of a list: dropped."""
    del value

  extend = append


class UnknownClass(type):
  """Of classes that are not known: a pickle makes their objects by `__new__` alone."""

  def __call__(cls, *_: Any) -> Any:
    """Refuses; classes are called by code, not by what objects are saved as."""
    raise refusal(cls.__name__)


def refusal(name: str) -> UserError:
  """What to say of a file that needs this function or class to be run."""
  return UserError(
    f"asks for {shown(name)}, which is neither tensor nor dictionary, and was not run. "
    "Save the state dict alone: torch.save(model.state_dict(), FILE)."
  )
