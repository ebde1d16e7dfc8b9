"""Changed files of every kind are read or refused, and nothing else happens."""

import pytest

from tests.state_dicts import kinds, mutation

MANY = {kind: 100 for kind in (*kinds.WRITERS, "torch_old")} | {"orbax": 10}


@pytest.mark.slow
@pytest.mark.parametrize("kind", MANY)
def test_a_changed_file_is_read_or_refused_in_one_line(tmp_path, kind):
  counts = mutation.run(tmp_path, MANY[kind], 1, [kind])
  assert counts[kind, "refused"] > MANY[kind] / 5
