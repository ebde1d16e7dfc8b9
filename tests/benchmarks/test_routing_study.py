"""The study of offsets: what moves, and what a gradient promises."""

import numpy as np
import pytest

from benchmarks.controls import routing_study
from benchmarks.controls import suites as control_suites

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("arm", ["rolled_both", "free"])
def test_offsets_are_watched_and_only_learned_ones_move(arm, tmp_path, monkeypatch):
  settings = control_suites.settings("2d", "quick")
  monkeypatch.setattr(control_suites, "settings", lambda *_: settings)
  monkeypatch.setattr(routing_study, "IMAGES", 70)
  monkeypatch.setattr(routing_study, "SAMPLE", 6)
  columns = routing_study.execute(arm, 4.0, 0, tmp_path / "run")
  assert 0 <= columns["top1"] <= 100
  assert columns["offsets"] > 6
  assert (columns["moved_mean"] > 0) == (arm == "free")
  assert np.isfinite([columns[f"promise_{jump}"] for jump in routing_study.JUMPS]).all()
  assert not (tmp_path / "run").exists()
