"""What the page of a run says; how it looks was looked at, at 400 and 1200 pixels."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from neural_epitome.config import Config
from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.generators import Epitome
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.report import page, pictures, predictions, summary
from neural_epitome.report.record import Run

LAYERS = ["stem", "block_1", "block_2", "block_10", "head"]
INVENTORY = Inventory(
  tuple(
    KernelUse(f"{layer}/kernel", (1, 1, 4, 8), strides=(1, 1), output_size=(4, 4))
    for layer in LAYERS
  ),
  {"norm/scale": (8,)},
)
PLAN = plans.make(
  INVENTORY.kernels,
  {use.path: Epitome((1, 1, 4, 4), "factorised") for use in INVENTORY.kernels},
)
ENVIRONMENT = {"command": "main '--workdir=<a b>'", "commit": "abc123", "jax": "9.8.7"}
VOID = {"meta", "img", "br", "polygon"}


class Reader(HTMLParser):
  """Fails on a tag that is not closed; notes what stands directly in what."""

  def __init__(self):
    super().__init__()
    self.open, self.text, self.parents = [], [], []

  def handle_starttag(self, tag, attributes):
    self.parents.append((tag, self.open[-1][1] if self.open else None))
    if tag not in VOID:
      self.open.append((tag, dict(attributes).get("class")))

  def handle_endtag(self, tag):
    if tag not in VOID:
      assert self.open.pop()[0] == tag

  def handle_data(self, data):
    self.text.append(data)


def read(text):
  reader = Reader()
  reader.feed(text)
  reader.close()
  assert reader.open == []
  return reader


def made(tmp_path, classes=("cat", "dog", "<owl>"), content=None, **changes):
  rng = np.random.default_rng(0)
  label = rng.integers(0, len(classes), 300).astype(np.int32)
  predicted = np.where(rng.random(300) < 0.8, label, (label + 1) % len(classes))
  examples = predictions.Predictions(
    np.arange(300), label, predicted.astype(np.int32), np.ones(300, np.float32)
  )
  content = np.zeros((8, 8, 1), np.uint8) if content is None else content
  config = Config(name="<mine>")
  fields = {
    "report": summary.make(
      config,
      PLAN,
      INVENTORY,
      steps=10,
      seconds=1.0,
      top1=0.5,
      top1_ema=None,
      bad={},
    ),
    "config": config,
    "plan": PLAN,
    "inventory": INVENTORY,
    "lines": [{"step": 1, "kind": "train", "loss": 2.0}],
    # In the order in which JAX keeps dictionaries.
    "routing": {
      layer: {"map": {"output": np.float32([0, 1])}} for layer in sorted(LAYERS)
    },
    "evaluation": predictions.summarise(examples, classes) | {"weights": "raw"},
    "examples": [
      pictures.Example(classes[0], classes[0], 0.9, content),
      pictures.Example(classes[0], classes[2], 0.7, content),
    ],
    "environment": ENVIRONMENT,
    "next_commands": {"evaluate": "main --mode=evaluate"},
  }
  page.write(tmp_path, Run(**(fields | changes)))
  return page.path(tmp_path).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def few(tmp_path_factory):
  """The page of a run on three classes."""
  return made(tmp_path_factory.mktemp("few"))


@pytest.fixture(scope="module")
def many(tmp_path_factory):
  """The page of a run on sixty classes."""
  return made(tmp_path_factory.mktemp("many"), [f"class {i}" for i in range(60)])


def test_maps_stand_in_the_order_of_the_layers_closed(few):
  text = few
  assert re.findall(r'alt="routing map of (\w+)"', text) == LAYERS
  assert "<details open" not in text
  assert "5 maps, in the order of the layers" in text


def test_every_word_of_the_result_and_of_the_plan_is_explained(few):
  text = few
  words = set(re.findall(r"<dt>([^<]+)</dt>", text))
  rows = re.search(r'<table class="result">(.*?)</table>', text, re.DOTALL)[1]
  labels = re.findall(r"<tr><td>([^<]+)</td>", rows)
  assert len(labels) >= 6
  assert set(labels) <= words
  assert {"kernel", "epitome", "stored", "rate", "ratio", "dense"} <= words
  assert "top-1, EMA weights" not in words, "this run has none"


def test_it_says_with_what_the_run_was_made_and_what_comes_next(few, tmp_path):
  text = few
  read_text = "".join(read(text).text)
  for value in (*ENVIRONMENT.values(), "main --mode=evaluate"):
    assert value in read_text
  without = made(tmp_path, environment={"jax": "9.8.7"}, next_commands={})
  assert "Started from Python" in without
  assert "What to do with it" not in without


def test_few_classes_have_the_whole_matrix(few):
  text = few
  assert text.count('<th class="row"') == 3
  assert "Taken for another class" in text
  assert "Recognised" in text
  assert "&lt;owl&gt;" in text
  assert "<owl>" not in text


def test_many_classes_have_the_worst_ones_and_the_most_confused_pairs(many):
  text = many
  assert "Confusion matrix" not in text
  assert "The 10 worst classes of 60" in text
  assert "All 60 classes" in text
  assert "is taken for" in text
  worst = re.search(r"worst classes.*?</table>", text, re.DOTALL)[0]
  shares = [float(share) for share in re.findall(r"<td>([\d.]+)%</td>", worst)]
  assert len(shares) == 10
  assert shares == sorted(shares)


def test_signals_are_drawn_and_nothing_else_changes(tmp_path):
  text = made(tmp_path, content=np.ones((50, 1), np.float32))
  assert text.count("<svg") == 2
  assert "Confusion matrix" in text


@pytest.mark.slow
@pytest.mark.parametrize("name", ["few", "many"])
def test_wide_things_scroll_in_boxes_of_their_own_on_a_page_that_fits(name, request):
  text = request.getfixturevalue(name)
  assert '<meta name="viewport" content="width=device-width' in text
  assert re.search(r"\.scroll \{[^}]*overflow-x: auto", text)
  assert re.search(r"img, svg \{[^}]*max-width: 100%", text)
  boxes = [parent for tag, parent in read(text).parents if tag == "table"]
  assert boxes
  assert set(boxes) == {"scroll"}
  assert "http" not in text
