"""A folder of a thousand classes trains, and what it leaves behind stays small."""

import dataclasses
import json
import zlib

import pytest

import neural_epitome as ne
from tests.data.helpers import encoded, smooth_picture
from tests.training import tiny

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("compilation_cache")]
CLASSES = 1000


def test_a_folder_of_a_thousand_classes_trains_and_its_report_stays_small(tmp_path):
  names = [f"kind {index:04}" for index in range(CLASSES)]
  for split in ("train", "test"):
    for name in names:
      folder = tmp_path / "data" / split / name
      folder.mkdir(parents=True)
      pixels = smooth_picture(zlib.crc32(name.encode()), 8, 8, 1)
      (folder / f"{split}.png").write_bytes(encoded(pixels, "PNG", "L"))
  config = tiny.experiment(epochs=0.01, evaluate_every=0.0, reestimation_batches=0)
  data = dataclasses.replace(
    config.data,
    dataset=str(tmp_path / "data"),
    train_split="train",
    evaluation_split="test",
    image_size=8,
    evaluation_batch_size=200,
  )
  report = ne.run(dataclasses.replace(config, data=data), tmp_path / "run", quiet=True)
  assert report["top1"] <= 0.1
  evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
  assert evaluation["confusion"] is None
  assert [row["class"] for row in evaluation["classes"]] == names
  assert (tmp_path / "run/report/index.html").stat().st_size < 500_000
  assert ne.load(tmp_path / "run").classes == tuple(names)
