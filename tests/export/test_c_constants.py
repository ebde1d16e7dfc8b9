"""Names, numbers and comments of a C header, of whatever they are told."""

import json

import numpy as np
import pytest

from neural_epitome.export.c_constants import Constants, comment


def test_every_array_has_a_name_of_its_own_that_c_takes():
  constants = Constants()
  words = ["a.b", "a_b", "a/b", "a__b", "kernel", "kernels", "ü", "", "1", "*/ int x;"]
  words += ["x" * 500 + end for end in "ab"] + ["a.b"]
  names = [constants.add(one, np.ones(2, np.float32)) for one in words]
  assert len(set(names)) == len(names)
  assert not {"ne_kernel", "ne_kernels", "ne_weight", "ne_bits"} & set(names)
  for name in names:
    assert name.isascii()
    assert name.isidentifier()
    assert len(name) < 64
  assert constants.nbytes == 8 * len(words)


@pytest.mark.parametrize(
  "text", ["a*/b", "/*", "*/*/**//", "\\*/", "??/", "\n", "é", "a/b", "\\", '"']
)
def test_a_comment_ends_where_it_is_meant_to_and_reads_as_it_was(text):
  line = comment({text: [text]})
  assert line.startswith("/* ")
  assert line.endswith(" */")
  inside = line[2:-2]
  assert not {"*/", "/*", "??"} & {inside[i : i + 2] for i in range(len(inside))}
  assert inside.isascii()
  assert "\n" not in inside
  assert json.loads(inside) == {text: [text]}


def test_floats_are_written_to_the_last_bit():
  values = np.array([0.1, 1e-38, -1e-45, 3e38, 1, -0.0, 16777217], np.float32)
  constants = Constants()
  constants.add("it", values)
  body = constants.lines()[0].partition("{\n")[2].partition("\n}")[0]
  texts = body.replace("\n", "").rstrip(",").split(",")
  assert all(text.endswith("f") for text in texts)
  read = np.array([float(text[:-1]) for text in texts], np.float32)
  assert read.tobytes() == values.tobytes()
