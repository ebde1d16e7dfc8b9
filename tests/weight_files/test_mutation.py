"""Changed compact files, graphs and examples are read or refused, and nothing else."""

import pytest

from tests.weight_files import mutation

pytest.importorskip("onnx")


@pytest.mark.slow
def test_what_is_changed_is_read_or_refused_in_one_line(tmp_path):
  counts = mutation.run(tmp_path, 120, 1)
  for kind in mutation.KINDS:
    assert counts[kind, "refused"] > 10
