"""Dataclasses to JSON and back, with errors that name the field."""

import dataclasses
import json
from collections.abc import Mapping
from typing import ClassVar, Literal

import pytest

from neural_epitome import codec
from neural_epitome.errors import UserError


class Shape(codec.Variant):
  """A union for the tests."""


@dataclasses.dataclass(frozen=True)
class Circle(Shape):
  kind: ClassVar[str] = "circle"
  radius: float = 1.0


@dataclasses.dataclass(frozen=True)
class Polygon(Shape):
  kind: ClassVar[str] = "polygon"
  sides: tuple[int, ...] = ()
  inner: Shape | None = None


@dataclasses.dataclass(frozen=True)
class Drawing:
  shape: Shape = Circle()
  pair: tuple[int, str] = (1, "a")
  by_name: Mapping[str, Shape] = dataclasses.field(default_factory=dict)
  mode: Literal["fill", "line"] = "fill"
  is_open: bool = False


def test_nested_unions_come_back_equal_through_json():
  drawing = Drawing(
    shape=Polygon((3, 4), Circle(2.5)), by_name={"x": Polygon(inner=Polygon())}
  )
  text = json.dumps(codec.encode(drawing))
  assert codec.decode(Drawing, json.loads(text)) == drawing


def test_an_integer_is_a_float_but_nothing_else_is_converted():
  circle = {"kind": "circle"}
  assert codec.decode(Shape, circle | {"radius": 2}).radius == 2.0
  with pytest.raises(UserError, match="float"):
    codec.decode(Shape, circle | {"radius": "2"})
  with pytest.raises(UserError, match="float"):
    codec.decode(Shape, circle | {"radius": True})


@pytest.mark.parametrize(
  ("data", "words"),
  [
    ({"shape": {"kind": "circl"}}, r"value\.shape\.kind='circl'.*circle"),
    ({"shape": {"radius": 1.0}}, "needs a 'kind'"),
    ({"shape": {"kind": "circle", "radus": 1.0}}, "radius"),
    ({"shape": {"kind": "polygon", "sides": [1, "b"]}}, r"sides\[1\]='b'.*int"),
    ({"shape": {"kind": "polygon", "inner": {"kind": "x"}}}, r"inner\.kind='x'"),
    ({"pair": [1]}, "tuple"),
    ({"mode": "dots"}, "fill, line"),
    ({"is_open": 1}, "bool"),
    ({"by_name": {"x": 3}}, r"by_name\.x"),
    ([], "Drawing"),
  ],
)
def test_wrong_data_is_refused_by_name_and_type(data, words):
  with pytest.raises(UserError, match=words):
    codec.decode(Drawing, data)


@dataclasses.dataclass(frozen=True)
class Renamed:
  """Had a field `length` once, in metres."""

  centimetres: float = 0.0

  @classmethod
  def upgraded(cls, data):
    rest = {name: value for name, value in data.items() if name != "length"}
    return rest | ({"centimetres": 100 * data["length"]} if "length" in data else {})


def test_what_an_earlier_release_wrote_is_read_as_todays():
  assert codec.decode(Renamed, {"length": 2}) == Renamed(200.0)
  assert codec.decode(Renamed, {"centimetres": 3}) == Renamed(3.0)
  with pytest.raises(UserError, match="value=4 is not of type Renamed"):
    codec.decode(Renamed, 4)
