"""Frozen dataclasses to plain JSON values and back, open unions included.

A class that derives from `Variant` is one arm of a tagged union: its `kind` is
written beside its fields, and a field annotated with the union's base class is
read back as the arm that the tag names. An arm exists from the moment its module
is imported, so a new one is a new file and an import line. One of another installed
package is imported when its tag is read (see `plugins`).

A dataclass whose fields have changed has a class method `upgraded`: it is given the
data before they are read, and returns what earlier releases wrote as today's does.
"""

import dataclasses
import difflib
import functools
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, ClassVar

from neural_epitome import plugins
from neural_epitome.domains import OutOfDomainError
from neural_epitome.errors import UserError


class Variant:
  """Base of the arms of a tagged union; each concrete arm sets `kind`.

  Attributes:
    kind: the arm's tag.
    plugin_group: of the entry points of other packages' arms, as `plugins.names` takes
      it; empty where they add none.
  """

  kind: ClassVar[str]
  plugin_group: ClassVar[str] = ""

  @classmethod
  def arms(cls) -> dict[str, type]:
    """Every concrete class below this one, by its `kind`."""
    arms: dict[str, type] = {cls.kind: cls} if "kind" in vars(cls) else {}
    for child in cls.__subclasses__():
      arms |= child.arms()
    return arms


def encode(value: Any) -> Any:
  """Returns `value` as JSON-ready lists, dictionaries, strings and numbers."""
  if dataclasses.is_dataclass(value):
    tag = {"kind": value.kind} if isinstance(value, Variant) else {}
    fields = dataclasses.fields(value)
    return tag | {f.name: encode(getattr(value, f.name)) for f in fields}
  if isinstance(value, Mapping):
    return {str(k): encode(v) for k, v in value.items()}
  if isinstance(value, tuple | list):
    return [encode(v) for v in value]
  return value


@functools.cache
def field_types(cls: type) -> dict[str, Any]:
  """The resolved annotation of every dataclass field of `cls`."""
  hints = typing.get_type_hints(cls, include_extras=True)
  return {f.name: hints[f.name] for f in dataclasses.fields(cls)}


def nearest(word: str, known: typing.Iterable[str]) -> str:
  """Returns ' Did you mean ...?' or the list of what is known, for an error."""
  known = sorted(known)
  close = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
  if close:
    return f" Did you mean {' or '.join(close)}?"
  more = f" and {len(known) - 20} more" if len(known) > 20 else ""
  return f" Known: {', '.join(known[:20])}{more}."


def type_name(annotation: Any) -> str:
  """An annotation as a person would say it: `float`, `tuple[int, ...]`."""
  is_plain = isinstance(annotation, type) and not typing.get_args(annotation)
  if is_plain:
    return annotation.__name__
  # What a number may be is said where it is none of these.
  text = str(annotation).replace("typing.", "")
  text = re.sub(r"Annotated\[(\w+), [^\[\]]*?\]", r"\1", text)
  return re.sub(r"^Optional\[(.*)\]$", r"\1 | None", text)


def decode(annotation: Any, value: Any, where: str = "value") -> Any:
  """Reads what `encode` wrote, checked against `annotation`.

  Args:
    annotation: a dataclass, a `Variant` base, or a plain, optional, tuple,
      literal or mapping type.
    value: JSON-ready data.
    where: the dotted name of the value, for error messages.

  Raises:
    UserError: naming the field and the type it should have, or the numbers that it
      may be (see `domains`).
  """
  origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
  wrong = UserError(f"{where}={value!r} is not of type {type_name(annotation)}.")
  if annotation is Any:
    return value
  if origin is typing.Annotated:
    number = decode(arguments[0], value, where)
    for domain in arguments[1:]:
      domain.check(number, where)
    return number
  if origin in (typing.Union, types.UnionType):
    for option in arguments:
      try:
        return decode(option, value, where)
      except OutOfDomainError:
        raise
      except UserError as error:
        # A dictionary can only mean the nested class: its own error says more.
        is_class = isinstance(option, type)
        is_nested = is_class and (
          issubclass(option, Variant) or dataclasses.is_dataclass(option)
        )
        if is_nested and isinstance(value, Mapping):
          raise error from None
    raise wrong
  if annotation in (None, types.NoneType):
    if value is not None:
      raise wrong
    return None
  if origin is typing.Literal:
    # 3.0 is no 3, and true no 1.
    if not any(value == a and type(value) is type(a) for a in arguments):
      raise UserError(
        f"{where}={value!r} must be one of {', '.join(map(str, arguments))}."
      )
    return value
  if origin is tuple:
    if not isinstance(value, tuple | list):
      raise wrong
    if len(arguments) == 2 and arguments[1] is Ellipsis:
      inner = [arguments[0]] * len(value)
    elif len(arguments) == len(value):
      inner = list(arguments)
    else:
      raise wrong
    named = enumerate(zip(inner, value, strict=True))
    return tuple(decode(t, v, f"{where}[{i}]") for i, (t, v) in named)
  if origin is not None and issubclass(origin, Mapping):
    if not isinstance(value, Mapping):
      raise wrong
    return {k: decode(arguments[1], v, f"{where}.{k}") for k, v in value.items()}
  if isinstance(annotation, type) and issubclass(annotation, Variant):
    return _decode_arm(annotation, value, where)
  if dataclasses.is_dataclass(annotation):
    return _decode_fields(annotation, value, where)
  if annotation is float and isinstance(value, int) and not isinstance(value, bool):
    return float(value)
  if type(value) is not annotation:
    raise wrong
  return value


def _decode_arm(base: type[Variant], value: Any, where: str) -> Any:
  if not isinstance(value, Mapping) or not isinstance(value.get("kind"), str):
    raise UserError(f"{where} needs a 'kind'.{nearest('', _kinds(base))}")
  kind, group = value["kind"], base.plugin_group
  arm = base.arms().get(kind)
  if arm is None and plugins.load(group, kind) is not None:
    arm = base.arms().get(kind)  # its module is imported now
    if arm is None:
      raise UserError(
        f"{where}.kind={kind!r} is of the package {plugins.package(group, kind)}, "
        f"which defines no {base.__name__} of that kind."
      )
  if arm is None:
    raise UserError(f"{where}.kind={kind!r} is unknown.{nearest(kind, _kinds(base))}")
  rest = {k: v for k, v in value.items() if k != "kind"}
  return _decode_fields(arm, rest, where)


def _kinds(base: type[Variant]) -> set[str]:
  return {*base.arms(), *plugins.names(base.plugin_group)}


def _decode_fields(cls: Any, value: Any, where: str) -> Any:
  if not isinstance(value, Mapping):
    raise UserError(f"{where}={value!r} is not of type {cls.__name__}.")
  if upgraded := getattr(cls, "upgraded", None):
    value = upgraded(value)
  hints = field_types(cls)
  for name in value:
    if name not in hints:
      raise UserError(f"{where} has no field {name!r}.{nearest(name, hints)}")
  try:
    return cls(**{n: decode(hints[n], v, f"{where}.{n}") for n, v in value.items()})
  except TypeError as error:
    raise UserError(f"{where}: {error}.") from None
