"""No number of a configuration is taken that its field does not declare."""

import dataclasses
import math
import typing

import pytest

import neural_epitome.spaces.supernet
import neural_epitome.strategies  # noqa: F401
from neural_epitome import codec, config
from neural_epitome.domains import Domain
from neural_epitome.errors import UserError

BAD = [0, -1, math.nan, math.inf, 10**30, 1e300, 2.0, 0.5]


def classes() -> list[type]:
  """Every class that can be in a Config, shipped ones only."""
  waiting: list[typing.Any] = [config.Config]
  seen: dict[type, None] = {}
  while waiting:
    hint = waiting.pop()
    waiting += [a for a in typing.get_args(hint) if not isinstance(a, str)]
    if not isinstance(hint, type) or hint in seen:
      continue
    seen[hint] = None
    if issubclass(hint, codec.Variant):
      waiting += hint.arms().values()
    if dataclasses.is_dataclass(hint):
      waiting += codec.field_types(hint).values()
  # Tests and other packages add arms of their own.
  return [
    cls
    for cls in seen
    if dataclasses.is_dataclass(cls) and cls.__module__.startswith("neural_epitome.")
  ]


def numbers(hint: typing.Any) -> typing.Iterator[tuple[typing.Any, typing.Any]]:
  """Each number in an annotation, and how a field's value is made of one."""
  origin, arguments = typing.get_origin(hint), typing.get_args(hint)
  if hint in (int, float) or origin is typing.Annotated:
    yield hint, lambda number: number
  elif origin is tuple:
    # What is no number beside numbers is text.
    kinds = [argument for argument in arguments if argument is not Ellipsis]
    are_numbers = [argument is not str for argument in kinds]
    for inner, make in numbers(arguments[0]):
      yield (
        inner,
        lambda number, make=make: [make(number) if is_ else "" for is_ in are_numbers],
      )
  elif origin is not typing.Literal:
    is_mapping = origin is not None and "Mapping" in str(origin)
    for argument in arguments:
      for inner, make in numbers(argument):
        yield (
          inner,
          (lambda number, make=make: {"a": make(number)}) if is_mapping else make,
        )


FIELDS = [
  (f"{cls.__name__}.{name}", hint, inner, make)
  for cls in classes()
  for name, hint in codec.field_types(cls).items()
  for inner, make in numbers(hint)
]


def test_the_walk_reaches_every_room():
  names = {name for name, *_ in FIELDS}
  assert names >= {
    "Config.bits",
    "Augmentation.mixup",
    "SignalOptions.length",
    "MobileNetV2Config.stages",
    "ChainSpace.only",
    "RatePlanner.weights",
    "ChosenPlanner.bits",
    "WSNet.spacing",
    "NetAdapt.decay",
  }
  assert len(names) > 150


@pytest.mark.parametrize(
  ("name", "inner"), [pytest.param(f[0], f[2], id=f[0]) for f in FIELDS]
)
def test_every_number_declares_its_domain(name, inner):
  assert typing.get_origin(inner) is typing.Annotated, f"{name} is a bare {inner}"
  assert any(isinstance(a, Domain) for a in typing.get_args(inner))


@pytest.mark.parametrize(
  ("name", "hint", "inner", "make"), [pytest.param(*f, id=f[0]) for f in FIELDS]
)
def test_a_number_is_in_the_domain_or_refused_in_one_line(name, hint, inner, make):
  kind, domain = typing.get_args(inner)[:2]
  for number in BAD:
    is_whole = type(number) is int
    admits = number in domain and (kind is float or is_whole)
    if admits:
      codec.decode(hint, make(number), name)
      continue
    with pytest.raises(UserError) as caught:
      codec.decode(hint, make(number), name)
    message = str(caught.value)
    assert message.startswith(name)
    assert repr(float(number) if kind is float else number) in message
    assert "\n" not in message
    if kind is float or is_whole:
      assert f"must be {domain}" in message
    else:
      assert "int" in message
      assert "Annotated" not in message


@pytest.mark.parametrize(
  ("path", "text", "message"),
  [
    ("training.ema_decay", "1.5", "=1.5 must be at least 0 and below 1."),
    ("training.label_smoothing", "2", "=2.0 must be at least 0 and below 1."),
    ("training.log_every", "0", "=0 must be in [1, 2147483647]."),
    ("training.epochs", "NaN", "=nan must be above 0."),
    ("model.width", "-1", "=-1.0 must be above 0 and at most 1000."),
    ("model.width", "NaN", "=nan must be above 0 and at most 1000."),
    ("model.dropout", "1.5", "=1.5 must be at least 0 and below 1."),
    ("norm.epsilon", "-1", "=-1.0 must be above 0."),
    ("data.image_size", "-4", "=-4 must be in [1, 65535]."),
    ("data.channels", "3.0", "=3.0 must be one of 1, 3."),
    ("data.workers", "-1", "=-1 must be in [0, 1024]."),
    ("data.std", "[0]", "[0]=0.0 must be above 0."),
    ("bits", "12", "=12 must be in [1, 8] or 32."),
    ("data.batch_size", "8.0", "=8.0 is not of type int."),
    ("data.classes", "8.0", "=8.0 is not of type int | None."),
  ],
)
def test_a_flag_out_of_its_domain_names_field_value_and_domain(path, text, message):
  with pytest.raises(UserError) as caught:
    config.override(config.Config(), path, text)
  assert str(caught.value) == f"config.{path}{message}"


def test_an_experiment_in_python_is_checked_as_a_file_is():
  wrong = dataclasses.replace(config.Config(), bits=8.0)
  with pytest.raises(UserError, match=r"config\.bits=8\.0"):
    config.checked(wrong)
  assert config.checked(config.Config()) == config.Config()
