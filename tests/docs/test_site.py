"""The site: each public name has a page, and links work on it and in a checkout."""

import importlib.util
import types
from pathlib import Path

import pytest

import neural_epitome
from neural_epitome.data.options import DataOptions
from neural_epitome.epitome.generators import Rule
from neural_epitome.epitome.layers import EpitomeConv

pytest.importorskip("mkdocs")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def hooks():
  spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def test_every_public_name_is_in_one_group_of_the_api(hooks):
  grouped = [name for names in hooks.api().values() for name in names]
  assert sorted(grouped) == sorted(hooks.public_names())
  assert set(neural_epitome.__all__) - set(grouped) <= {"__version__"}


def test_a_page_names_where_its_object_is_defined(hooks):
  page = hooks.api_page("compress")
  assert "::: neural_epitome.compression.compress.compress\n" in page


def test_the_page_of_a_layer_has_its_call_and_what_all_layers_take(hooks, monkeypatch):
  monkeypatch.setattr(neural_epitome, "EpitomeConv", EpitomeConv, raising=False)
  page = hooks.api_page("EpitomeConv")
  assert "EpitomeConv(\n  features,\n  kernel_size,\n  strides=1," in page
  assert "  *,\n  rate=None," in page
  assert "indices=IndexOptions()," in page
  assert "::: neural_epitome.epitome.layers.GeneratedLayer\n" in page


def test_the_page_of_fields_has_every_kind_of_generator_and_data(hooks):
  page = hooks.fields()
  kinds = {line.split()[-1].strip("`") for line in page.splitlines() if "`kind" in line}
  assert kinds >= {*Rule.arms(), DataOptions.kind}
  assert "## TrainingOptions" in page


class Files:
  """The pages of a site, by where they lie in it."""

  def __init__(self, *paths):
    self._paths = paths

  def get_file_from_path(self, path):
    return path if path in self._paths else None


@pytest.mark.parametrize(
  ("page", "link", "on_site"),
  [
    ("results/search.md", "../../benchmarks/results/search.csv", None),
    ("results/search.md", "allocation.md#why", "allocation.md#why"),
    ("results/index.md", "../../README.md", "README (`README.md`)"),
    ("contributing.md", "docs/tasks/extend.md", "tasks/extend.md"),
    ("launching.md", "colab/train.ipynb", "README (`launch/colab/train.ipynb`)"),
    ("tasks/machines.md", "../../launch/README.md", "../launching.md"),
    ("tasks/machines.md", "../absent.md", "../absent.md"),
    ("index.md", "https://openreview.net", "https://openreview.net"),
  ],
)
def test_a_link_of_the_checkout_leads_to_the_page_of_the_site(
  hooks, page, link, on_site
):
  files = Files(
    "benchmarks/results/search.csv",
    "results/allocation.md",
    "tasks/extend.md",
    "launching.md",
  )
  where = types.SimpleNamespace(file=types.SimpleNamespace(src_uri=page))
  text = hooks.on_page_markdown(f"[README]({link})", where, None, files)
  target = on_site or "../benchmarks/results/search.csv"
  assert text == (target if target.startswith("README") else f"[README]({target})")


def test_code_is_left_as_it_is(hooks):
  text = "```sh\necho [a](../../README.md)\n```"
  where = types.SimpleNamespace(file=types.SimpleNamespace(src_uri="tasks/a.md"))
  assert hooks.on_page_markdown(text, where, None, Files()) == text
