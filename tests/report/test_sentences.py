"""What is said before and after the table of a plan."""

import dataclasses

import pytest

from neural_epitome.config import Config
from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome.generators import EpitomeRule, WindowedEpitome
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.planning import BudgetPlanner, ChosenPlanner, RatePlanner
from neural_epitome.report import sentences

WIDE = KernelUse("wide/kernel", (1, 1, 64, 256), strides=(1, 1), output_size=(4, 4))
DEPTHWISE = KernelUse("depthwise/kernel", (3, 3, 1, 256), 256, (1, 1), (4, 4), (4, 4))
INVENTORY = Inventory((DEPTHWISE, WIDE), {"norm/scale": (256,), "norm/bias": (256,)})
RULES = RatePlanner(rate=2.0, keep_first=False)
CONFIG = Config(planner=RULES)


def about(config, write):
  return write(config, config.planner.plan(INVENTORY).narrowed(config.bits), INVENTORY)


def test_the_sentence_before_the_table_counts_what_is_generated():
  sentence = about(CONFIG, sentences.about_plan)
  assert sentence.startswith("mobilenet_v2 for embedded: 1 of its 2 kernels")
  assert "offsets that a small network learns" in sentence
  # Half of 16,384 weights and two offsets, 2,304 depthwise weights, batch norm.
  assert sentence.endswith("11,010 numbers are stored for 19,200 parameters.")
  assert "\n" not in sentence


def test_the_sentence_says_how_offsets_come_about_only_where_there_are_some():
  fixed = dataclasses.replace(CONFIG, indices=IndexOptions(source="fixed"))
  assert "at fixed offsets" in about(fixed, sentences.about_plan)
  tile = dataclasses.replace(RULES, rule=EpitomeRule(routing="tile"))
  sentence = about(dataclasses.replace(fixed, planner=tile), sentences.about_plan)
  assert "offsets" not in sentence


def test_of_a_budget_bytes_are_said_and_no_remedy():
  training = dataclasses.replace(CONFIG.training, budget="8x")
  generators = {"wide/kernel": WindowedEpitome(256, (1, 1, 8))}
  spent = dataclasses.replace(
    CONFIG, planner=ChosenPlanner(generators=generators), training=training
  )
  sentence = about(spent, sentences.about_plan)
  # 2,048 places of a byte, ring, scales, the depthwise kernel and the norm in float32.
  stored = 2048 + 4 * (256 + 256 + 2304 + 512)
  assert f"{stored:,} bytes are stored for 19,200 parameters" in sentence
  assert about(spent, sentences.about_rest) is None
  before = dataclasses.replace(CONFIG, training=training)
  assert "bytes are stored" not in about(before, sentences.about_plan)
  assert "config.training.budget=8x follows" in about(before, sentences.about_rest)


def test_a_dense_network_is_said_to_be_stored_as_it_is():
  sentence = about(Config(), sentences.about_plan)
  assert "all of its 2 kernels are stored as they are, 19,200 parameters" in sentence


def test_what_the_rest_takes_is_said_where_it_leaves_little_and_only_there():
  assert about(CONFIG, sentences.about_rest) is None
  little = dataclasses.replace(CONFIG, planner=dataclasses.replace(RULES, rate=32.0))
  sentence = about(little, sentences.about_rest)
  assert "\n" not in sentence
  # 2,304 depthwise weights and 512 numbers of the batch norm, 4 bytes each.
  assert (
    "11,264 are not compressed (batch norm, biases and kernels that stay dense: 1"
    in sentence
  )
  assert "--config.bits=8" in sentence
  assert "planner.bits" not in sentence


def test_the_promised_gain_is_what_a_budget_of_these_bytes_and_bits_gives():
  budget = BudgetPlanner(bytes=12_500, rules=RULES)
  coarse = dataclasses.replace(CONFIG, planner=budget)
  sentence = about(coarse, sentences.about_rest)
  assert "--config.bits=8 --config.planner.bits=8" in sentence
  times = float(sentence.partition("then hold ")[2].split()[0])

  def stored(planner):
    generator = planner.plan(INVENTORY).kernels["wide/kernel"].generator
    return generator.stored(WIDE.shape)

  gained = stored(dataclasses.replace(budget, bits=8)) / stored(budget)
  assert times == pytest.approx(gained, rel=0.15)


def test_few_bits_leave_nothing_to_offer():
  rules = dataclasses.replace(RULES, rate=128.0)
  config = dataclasses.replace(CONFIG, planner=rules, bits=4)
  assert "--config.bits" not in about(config, sentences.about_rest)


def test_a_network_that_is_mostly_kept_is_no_surprise():
  rules = dataclasses.replace(RULES, rate=20.0, keep=("wide*",), keep_depthwise=False)
  config = dataclasses.replace(CONFIG, planner=rules)
  assert about(config, sentences.about_rest) is None
