"""`import neural_epitome as ne`: what stands behind every name of it."""

import configparser
import inspect
import pathlib
import subprocess
import sys

import pytest

import neural_epitome as ne
from neural_epitome.epitome import generators

ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.parametrize("name", ne.__all__)
def test_every_public_name_is_there_and_says_what_it_is(name):
  value = getattr(ne, name)
  assert getattr(value, "__name__", name).endswith(name)
  assert inspect.getdoc(value)


def test_all_generators_and_rules_are_public():
  assert set(generators.__all__) <= set(ne.__all__)
  arms = {*generators.GeneratorSpec.arms().values(), *generators.Rule.arms().values()}
  own = {arm for arm in arms if arm.__module__.startswith(generators.__name__)}
  assert own <= {getattr(ne, name) for name in generators.__all__}


def test_an_unknown_name_is_an_attribute_error():
  with pytest.raises(AttributeError, match="no attribute 'epitomise'"):
    _ = ne.epitomise


@pytest.mark.slow
def test_nothing_is_imported_before_it_is_used():
  code = (
    "import sys, neural_epitome as ne;"
    "assert ne.__version__ and dir(ne);"
    "assert not {'jax', 'flax', 'numpy'} & set(sys.modules), 'too early';"
    "ne.nnx.EpitomeConv;"
    "assert 'neural_epitome.training' not in sys.modules"
  )
  subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_the_version_is_that_of_setup_cfg():
  settings = configparser.ConfigParser()
  settings.read(ROOT / "setup.cfg")
  assert ne.__version__ == settings["metadata"]["version"]
