"""Float16 where it keeps three digits, and nowhere else."""

import numpy as np
import pytest

from neural_epitome.compression import half_precision


@pytest.mark.parametrize(
  ("values", "is_half"),
  [
    ([1.0, -0.3, 0.0], True),
    ([1e-3, 6e4], True),
    ([7e4], False),
    ([1e-7], False),
    ([1e-12, 1.0], False),
    ([], True),
  ],
)
def test_float16_is_taken_where_it_keeps_three_digits(values, is_half):
  rest = {"a": np.float32(values).reshape(-1), "n": np.arange(3, dtype=np.int32)}
  assert half_precision.halved(rest) == ({"a"} if is_half else set())
