"""What a file says of its use is enough to use it."""

import dataclasses
import hashlib
import importlib.metadata
import json
import re

import cv2
import numpy as np
import pytest

import neural_epitome as ne
from neural_epitome.compression import compact_reader
from neural_epitome.data import images, pipeline
from neural_epitome.data.options import DataOptions, SignalOptions
from neural_epitome.epitome.generators import EpitomeRule
from neural_epitome.export import deployment, job
from neural_epitome.report import deployment as lines
from neural_epitome.runs import claims
from neural_epitome.runs.directory import RunDirectory
from tests import pages
from tests.data.helpers import encoded, smooth_picture
from tests.export import networks
from tests.training import tiny

FIELDS = {"name", "input", "output", "classes", "step", "of", "versions", "plan_digest"}


def of_data(data, classes=None):
  network = networks.trained(dataclasses.replace(tiny.experiment(), data=tiny_data()))
  config = dataclasses.replace(network.config, data=data)
  return dataclasses.replace(network, config=config, classes=classes or network.classes)


def tiny_data():
  return tiny.experiment().data


def test_a_picture_is_described_from_file_to_network():
  data = DataOptions(
    image_size=96, crop_fraction=0.875, channels=3, mean=(0.5,), std=(0.2, 0.3, 0.4)
  )
  record = json.loads(json.dumps(deployment.record(of_data(data))))
  assert record.keys() == FIELDS
  form = record["input"]
  assert (form["layout"], form["shape"]) == ("NHWC", [96, 96, 3])
  assert (form["channels"], form["range"]) == ("RGB", [0.0, 1.0])
  assert (form["mean"], form["std"]) == ([0.5] * 3, [0.2, 0.3, 0.4])
  assert form["crop"]["of_short_side"] == 0.875
  assert form["resize"]["size"] == [96, 96]
  assert record["classes"] == [f"class {i}" for i in range(10)]
  for name, version in record["versions"].items():
    if version is not None:
      assert version == importlib.metadata.version(name)
  assert deployment.record(of_data(DataOptions()))["input"]["channels"] == "grey"


def test_a_signal_is_described_as_far_as_the_configuration_knows_it():
  data = SignalOptions(length=500, channels=2, normalisation="rms")
  form = deployment.record(of_data(data))["input"]
  assert (form["kind"], form["layout"], form["shape"]) == ("signal", "NTC", [500, 2])
  assert (form["length"], form["sample_rate"]) == (500, None)
  assert (form["anchor"], form["normalisation"]) == ("centre", "rms")
  sound = dataclasses.replace(data, sample_rate=16000)
  assert deployment.record(of_data(sound))["input"]["sample_rate"] == 16000


def test_the_digest_is_that_of_the_plan_file_of_the_run(tmp_path):
  network = networks.trained(rule=EpitomeRule())
  directory = RunDirectory(tmp_path / "run")
  claims.claim(directory, network.config, network.plan, network.classes)
  content = (tmp_path / "run" / "plan.json").read_bytes()
  digest = deployment.record(network)["plan_digest"]
  assert digest == hashlib.sha256(content).hexdigest()
  other = networks.trained(rule=EpitomeRule(), rate=4.0)
  assert deployment.record(other)["plan_digest"] != digest


@pytest.mark.parametrize(
  "data",
  [
    DataOptions(channels=3, mean=(0.1, 0.2, 0.3), crop_fraction=0.875),
    DataOptions(),
    SignalOptions(sample_rate=16000),
    SignalOptions(),
  ],
)
def test_it_is_printed_as_aligned_lines_of_a_terminals_width(data):
  classes = tuple(f"{i}" for i in range(22_000))
  text = lines.about(deployment.record(of_data(data, classes)))
  heads = [re.match(r"(\w+)( +)", line) for line in text.splitlines()]
  assert len({match.end() for match in heads}) == 1
  assert max(map(len, text.splitlines())) < 150
  subjects = [match[1] for match in heads]
  assert len(set(subjects)) == len(subjects) >= 7


# Of the converters' own dependencies.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.slow
def test_every_format_carries_the_same(tmp_path, monkeypatch):
  onnx = pytest.importorskip("onnx")
  pytest.importorskip("ai_edge_litert")
  monkeypatch.setattr(job, "_ROUNDS", 1)
  network = networks.trained(rule=EpitomeRule())
  formats = ["compact", "c", "onnx", "stablehlo", "litert"]
  # Numbers of fewer bits, and programs with another plan, are of the same network.
  report = job.export(network, tmp_path, formats[:2], bits=8, quiet=True)
  job.export(network, tmp_path, formats[2:], execution="decode", quiet=True)
  record = json.loads(json.dumps(report["record"]))
  assert record == json.loads(json.dumps(deployment.record(network)))
  compact = compact_reader.read(tmp_path / "tiny.safetensors").metadata["network"]
  comment = (tmp_path / "tiny.h").read_text().splitlines()[0]
  header = json.loads(comment.removeprefix("/* ").removesuffix(" */"))["network"]
  props = onnx.load(tmp_path / "tiny.onnx").metadata_props
  [inside] = [json.loads(p.value) for p in props if p.key == deployment.KEY]
  beside = [
    json.loads((tmp_path / f"tiny.{ending}.json").read_text())
    for ending in ("stablehlo", "tflite")
  ]
  for found in (compact, header, inside, *beside):
    assert {name: found[name] for name in FIELDS} == record
  assert not list(tmp_path.glob("*.partial"))


def prepared(path, form):
  """A picture for a network, by what its file says alone, with OpenCV and NumPy."""
  colour = form["channels"] == "RGB"
  picture = cv2.imread(
    str(path), cv2.IMREAD_COLOR_RGB if colour else cv2.IMREAD_GRAYSCALE
  )
  height, width = picture.shape[:2]
  side = round(min(height, width) * form["crop"]["of_short_side"])
  top, left = (height - side) // 2, (width - side) // 2
  picture = picture[top : top + side, left : left + side]
  size = tuple(form["resize"]["size"])
  shrinks = side >= 2 * size[0]
  way = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
  picture = cv2.resize(picture, size, interpolation=way).reshape(form["shape"])
  values = picture.astype(np.float32) / 255
  return (values - np.float32(form["mean"])) / np.float32(form["std"])


@pytest.mark.parametrize("size", [24, 28, 40])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_it_says_of_pictures_is_what_prediction_does(tmp_path, size, channels):
  data = DataOptions(
    image_size=size, channels=channels, mean=(0.4,), std=(0.3,), crop_fraction=0.875
  )
  path = tmp_path / "picture.png"
  path.write_bytes(encoded(smooth_picture(3, 70, 64), "PNG"))
  form = deployment.record(of_data(data))["input"]
  expected = pipeline.load_file(path, data)
  assert np.abs(prepared(path, form) - expected).mean() < 0.02
  assert images.FIELD == form["kind"]


# Of the converter's own dependencies.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.slow
def test_the_code_of_the_page_gives_the_class_that_prediction_gives(
  tmp_path, whole, monkeypatch, capsys
):
  pytest.importorskip("onnxruntime")
  [code] = [
    block.text
    for block in pages.blocks(pages.read("docs/tasks/export.md"))
    if "import onnxruntime" in block.text
  ]
  trained = ne.load(whole[0])
  job.export(trained, tmp_path / "exported", ["onnx"], quiet=True)
  (tmp_path / "exported" / "tiny.onnx").rename(tmp_path / "exported" / "quick.onnx")
  picture = tmp_path / "runs/quick/report/example.png"
  picture.parent.mkdir(parents=True)
  monkeypatch.chdir(tmp_path)
  content = [(whole[0] / "report" / "example.png").read_bytes()]
  content += [encoded(smooth_picture(seed, 90, 70)) for seed in range(4)]
  answers = []
  for file in content:
    picture.write_bytes(file)
    [row] = ne.predict(trained, [picture])
    names = {}
    exec(compile(code, "export.md", "exec"), names)
    assert names["answer"] == row["top"][0]["class"]
    answers.append(names["answer"])
  assert capsys.readouterr().out.split("\n")[:-1] == answers
  assert len(set(answers)) > 1
