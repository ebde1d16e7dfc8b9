"""HTML that every page of a report is made of: one file, one style, no scripts.

Pages are read on a phone as well: what is wide scrolls inside its own box.
"""

import base64
import html
import pathlib
from collections.abc import Mapping, Sequence

Rows = Sequence[Sequence[str]]

STYLE = """
:root { --ink: #1c2733; --pale: #5a6875; --line: #e3e8ee; --back: #f5f7f9;
        --blue: #1f5fa8; --red: #d1602b; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); margin: 1.5rem auto;
       max-width: 68rem; padding: 0 1rem; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; padding-top: .9rem;
     border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p { max-width: 46rem; } p.about, .pale { color: var(--pale); }
p.about { margin: .3rem 0 0; }
.scroll { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .8rem; border-bottom: 1px solid var(--line); text-align: right;
         white-space: nowrap; }
th { font-weight: 600; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
table.plan td:nth-child(-n+3), table.plan th:nth-child(-n+3) { text-align: left; }
table.words td { text-align: left; white-space: normal; overflow-wrap: anywhere; }
table.words td:first-child { white-space: nowrap; color: var(--pale);
                             vertical-align: top; }
img, svg { max-width: 100%; }
pre { background: var(--back); padding: .8rem 1rem; overflow: auto; margin: .4rem 0;
      font-size: .85rem; border-radius: 4px; }
pre.command { white-space: pre-wrap; overflow-wrap: anywhere; }
summary { cursor: pointer; color: var(--blue); padding: .2rem 0; }
dl { margin: .4rem 0 .8rem; padding: .4rem 1rem; background: var(--back);
     border-radius: 4px; max-width: 46rem; }
dt { font-weight: 600; margin-top: .4rem; } dd { margin: 0 0 .4rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr));
         gap: .7rem; margin: 1.2rem 0 0; }
.tiles div { background: var(--back); border-radius: 6px; padding: .7rem .9rem; }
.tiles b { display: block; font-size: 1.5rem; line-height: 1.25; }
.tiles span { color: var(--pale); font-size: .87rem; }
@media (max-width: 30rem) {
  body { margin-top: 1rem; } th, td { padding: .2rem .4rem; font-size: .87rem; }
  table.result th, table.result td { font-size: .8rem; padding: .2rem .3rem; }
  table.result th, table.result td:first-child { white-space: normal; }
  table.result td:first-child { overflow-wrap: anywhere; min-width: 8.4rem; }
  .tiles b { font-size: 1.25rem; }
}
"""


def document(title: str, about: str, parts: Sequence[str], style: str = "") -> str:
  """A whole page: title and a line about it as text, the parts as HTML.

  Args:
    title: of the page.
    about: below it.
    parts: HTML, in order.
    style: CSS that only this page needs.
  """
  title = html.escape(title)
  start = [
    "<!doctype html>",
    '<html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    f"<title>{title}</title><style>{STYLE}{style}</style></head><body>",
    f'<h1>{title}</h1><p class="about">{html.escape(about)}</p>',
  ]
  return "\n".join([*start, *parts, "</body></html>"]) + "\n"


def table(headers: Sequence[str], rows: Rows, kind: str = "") -> str:
  """A table of text cells, of a style class, that scrolls in a box of its own."""

  def row(cells: Sequence[str], tag: str) -> str:
    inner = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
    return f"<tr>{inner}</tr>"

  head = row(headers, "th") if any(headers) else ""
  body = "\n".join(row(cells, "td") for cells in rows)
  return scrolling(f'<table class="{kind}">\n{head}\n{body}\n</table>')


def scrolling(content: str) -> str:
  """A box in which what is too wide for the page is moved sideways."""
  return f'<div class="scroll">{content}</div>'


def image(file: pathlib.Path, alt: str) -> str:
  """A PNG in a paragraph of the page: nothing beside it is needed to show it."""
  return f"<p>{picture(file.read_bytes(), 'png', alt)}</p>"


def picture(data: bytes, form: str, alt: str) -> str:
  """An encoded image, `png` or `webp`, inside the page."""
  source = f"data:image/{form};base64,{base64.b64encode(data).decode()}"
  return f'<img alt="{html.escape(alt)}" src="{source}">'


def details(summary: str, content: str) -> str:
  """A fold: HTML that is shown after a click on its summary, which is text."""
  return f"<details><summary>{html.escape(summary)}</summary>{content}</details>"


def glossary(words: Mapping[str, str]) -> str:
  """A fold with the meaning of words, by word."""
  items = [
    f"<dt>{html.escape(word)}</dt><dd>{html.escape(meaning)}</dd>"
    for word, meaning in words.items()
  ]
  return details("What these words mean", f"<dl>{''.join(items)}</dl>")


def command(text: str) -> str:
  """A command line in a box from which it can be copied."""
  return f'<pre class="command">{html.escape(text)}</pre>'
