"""What mkdocs builds beside the pages in this folder.

- One API page per public name of `neural_epitome`, in groups by the module that defines
  it, and below api/configuration.md all fields of an experiment's configuration.
- CHANGELOG.md, CONTRIBUTING.md and launch/README.md, which live where people look for
  them in a checkout.
- benchmarks/results/: the CSV behind every number, and figures.

Links are written as they work in a checkout, where these files lie outside this folder;
`on_page_markdown` turns them to where they are on the site.
"""

import dataclasses
import posixpath
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flax import linen as nn
from mkdocs.structure.files import File, Files

import neural_epitome
from neural_epitome import codec
from neural_epitome import config as settings

ROOT = Path(__file__).resolve().parent.parent
# Files of the checkout that are pages of the site, and where.
PAGES = {
  "CHANGELOG.md": "changelog.md",
  "CONTRIBUTING.md": "contributing.md",
  "launch/README.md": "launching.md",
}
RESULTS = "benchmarks/results"
FIELDS = "api/configuration.md"
# Groups of public names by the start of the defining module, first match; a name that
# matches none is in OTHER, so a new one is never left out.
GROUPS = (
  ("Layers", ("epitome.layers", "nnx", "epitome.routing")),
  ("Generators and rules", ("epitome.generators",)),
  ("Plan", ("epitome.plan", "planning", "cost")),
  ("Compress", ("compression", "epitome.activations", "epitome.fitting")),
  ("Search", ("models.cell_files", "search", "spaces", "strategies")),
  ("Train and load", ("training", "run", "checkpointing", "report", "export")),
  ("Configuration", ("config", "experiment", "errors", "codec")),
)
OTHER = "More"
# Options of what stands below a heading that is written here.
HIDDEN = ("      show_root_heading: false", "      show_root_toc_entry: false")
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")


def public_names() -> list[str]:
  """What `neural_epitome.__all__` names, without `__version__` and the like."""
  return [name for name in neural_epitome.__all__ if not name.startswith("__")]


def path_of(name: str) -> str:
  """The dotted path at which a public name is defined."""
  value = getattr(neural_epitome, name)
  if not hasattr(value, "__module__"):  # a constant: only the stub knows its home
    return f"{neural_epitome._MODULES[name]}.{name}"
  return _path(value)


def _path(value: Any) -> str:
  if isinstance(value, types.ModuleType):
    return value.__name__
  return f"{value.__module__}.{value.__qualname__}"


def group_of(path: str) -> str:
  """The group of the API that a definition belongs to."""
  inside = path.removeprefix("neural_epitome.")
  for group, starts in GROUPS:
    if any(inside == start or inside.startswith(f"{start}.") for start in starts):
      return group
  return OTHER


def api() -> dict[str, list[str]]:
  """Public names by group, both in the order that the site shows them."""
  found: dict[str, list[str]] = {name: [] for name, _ in GROUPS} | {OTHER: []}
  for name in public_names():
    found[group_of(path_of(name))].append(name)
  return {group: sorted(names) for group, names in found.items() if names}


def api_page(name: str) -> str:
  """The page of a public name; that of a module has the names that it gathers."""
  value = getattr(neural_epitome, name)
  if isinstance(value, types.ModuleType):
    lines = [f"# {name}", "", (value.__doc__ or "").strip()]
    for member in value.__all__:
      lines += ["", f"::: {_path(getattr(value, member))}"]
    return "\n".join(lines) + "\n"
  lines = [f"::: {path_of(name)}", "    options:", "      heading_level: 1"]
  if isinstance(value, type) and issubclass(value, nn.Module):
    # Flax makes its modules dataclasses where nobody sees it who only reads the source.
    lines = [f"# {name}", "", "```python", signature(value), "```", "", lines[0]]
    lines += ["    options:", *HIDDEN]
    for base in value.__mro__[1:]:
      if base.__module__.startswith("neural_epitome."):
        lines += ["", "## Arguments of every layer, by name", "", f"::: {_path(base)}"]
        lines += ["    options:", *HIDDEN, "      members: []"]
  return "\n".join(lines) + "\n"


def signature(cls: type) -> str:
  """The call that makes a module of Flax, with its defaults."""
  told = []
  for field in dataclasses.fields(cls):
    if not field.init or field.name in ("parent", "name"):
      continue
    text, value = field.name, field.default
    if dataclasses.is_dataclass(value):
      text += f"={type(value).__name__}()"
    elif callable(value):
      # A function, or what a function returned.
      text += f"={getattr(value, '__qualname__', type(value).__name__).split('.')[0]}"
    elif value is not dataclasses.MISSING:
      text += f"={value!r}"
    told.append((field.kw_only, text))
  by_place = [text for is_named, text in told if not is_named]
  by_name = [text for is_named, text in told if is_named]
  lines = ",\n  ".join([*by_place, *(["*", *by_name] if by_name else [])])
  return f"{cls.__name__}(\n  {lines},\n)"


def fields() -> str:
  """Every dataclass that an experiment's configuration may hold, Config first."""
  lines: list[str] = []
  public = {path_of(name): name for name in public_names()}
  for title, cls, kind in configurations():
    path = f"{cls.__module__}.{cls.__qualname__}"
    lines += ["", f"## {title}" + (f" `kind: {kind}`" if kind else ""), ""]
    if path in public:
      # A class has one place on the site, or references to it would be ambiguous.
      lines += [f"See [its page]({public[path]}.md)."]
      continue
    lines += [f"::: {path}", "    options:", *HIDDEN, "      members: []"]
  return "\n".join(lines) + "\n"


def configurations() -> Iterator[tuple[str, type, str | None]]:
  """(name, class, kind) of all that can be in a Config, each class once."""
  waiting: list[Any] = [settings.Config]
  seen: set[type] = set()
  while waiting:
    hint = waiting.pop(0)
    if typing.get_args(hint):
      waiting += typing.get_args(hint)
      continue
    if not isinstance(hint, type) or hint in seen:
      continue
    seen.add(hint)
    is_variant = issubclass(hint, codec.Variant)
    if is_variant:
      waiting += [arm for arm in hint.arms().values() if arm not in seen]
    if dataclasses.is_dataclass(hint) and (not is_variant or "kind" in vars(hint)):
      yield hint.__name__, hint, hint.kind if is_variant else None
    if dataclasses.is_dataclass(hint):
      waiting += codec.field_types(hint).values()


def on_config(config: Any) -> Any:
  """Puts the generated pages into the navigation, under "API"."""
  for entry in config.nav:
    if "API" in entry:
      for group, names in api().items():
        entry["API"].append({group: [{name: f"api/{name}.md"} for name in names]})
      entry["API"].append({"All fields of a configuration": FIELDS})
  return config


def on_files(files: Files, config: Any) -> Files:
  """Adds what is not in this folder."""
  for names in api().values():
    for name in names:
      files.append(File.generated(config, f"api/{name}.md", content=api_page(name)))
  for source, target in PAGES.items():
    text = (ROOT / source).read_text(encoding="utf-8")
    files.append(File.generated(config, target, content=text))
  for path in sorted((ROOT / RESULTS).iterdir()):
    if path.suffix in (".csv", ".png"):
      name = f"{RESULTS}/{path.name}"
      files.append(File.generated(config, name, abs_src_path=str(path)))
  return files


def on_page_markdown(text: str, page: Any, config: Any, files: Files) -> str:
  """Adds the fields to their page, and turns links to where pages are on the site."""
  del config
  sources = {target: source for source, target in PAGES.items()}
  here = sources.get(page.file.src_uri, f"docs/{page.file.src_uri}")

  def moved(match: re.Match[str]) -> str:
    image, words, target, anchor = match.groups()
    wanted = posixpath.normpath(posixpath.join(posixpath.dirname(here), target))
    on_site = PAGES.get(wanted, wanted.removeprefix("docs/"))
    if files.get_file_from_path(on_site) is None:
      if (ROOT / wanted).exists() and not wanted.startswith("docs/"):
        return f"{words} (`{wanted}`)" if words.strip("`") != wanted else words
      return match.group()  # mkdocs says that it leads nowhere
    folder = posixpath.dirname(page.file.src_uri) or "."
    return f"{image}[{words}]({posixpath.relpath(on_site, folder)}{anchor or ''})"

  parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
  parts[::2] = [LINK.sub(moved, part) for part in parts[::2]]
  return "".join(parts) + (fields() if page.file.src_uri == FIELDS else "")
