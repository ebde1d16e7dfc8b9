"""Overrides are typed; what is wrong is named."""

import pytest

from neural_epitome import codec, config
from neural_epitome.errors import UserError
from neural_epitome.experiment import load_experiment, shipped
from neural_epitome.planning import RatePlanner

BASE = config.Config(planner=RatePlanner())


@pytest.mark.parametrize(
  ("path", "text", "value"),
  [
    ("optimizer.learning_rate", "0.1", 0.1),
    ("optimizer.learning_rate", "1", 1.0),
    ("training.seed", "3", 3),
    ("training.tensorboard", "False", False),
    ("planner.rule.routing", "tile", "tile"),
    ("model.stage_strides", "[1,1,1,1,1,1,1]", (1,) * 7),
    ("data.dataset", "2012", "2012"),
    ("data.data_dir", "None", None),
    ("data.augmentation.mixup", "0.2", 0.2),
    ("planner", '{"kind": "dense"}', None),
  ],
)
def test_an_override_sets_one_field_to_a_value_of_its_type(path, text, value):
  changed = config.override(BASE, path, text)
  field = changed
  for name in path.split("."):
    field = getattr(field, name)
  if value is None and path == "planner":
    assert field.kind == "dense"
  else:
    assert field == value
    assert type(field) is type(value)
  assert codec.decode(config.Config, codec.encode(changed)) == changed


@pytest.mark.parametrize(
  ("path", "text", "words"),
  [
    ("optimizer.learning_rte", "1", r"config\.optimizer.*learning_rate"),
    ("optimiser.name", "sgd", "optimizer"),
    ("optimizer.learning_rate", "fast", r"learning_rate='fast'.*float"),
    ("training.seed", "1.5", "seed=1.5.*int"),
    ("optimizer.name", "adam", "adamw"),
    ("training.seed.low", "1", "no fields"),
    ("planner", "uniform", "kind"),
  ],
)
def test_a_wrong_override_names_the_field_and_its_type(path, text, words):
  with pytest.raises(UserError, match=words):
    config.override(BASE, path, text)


@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_shipped_experiment_survives_json(name):
  loaded = load_experiment(name)
  assert loaded.name == name
  assert codec.decode(config.Config, codec.encode(loaded)) == loaded
