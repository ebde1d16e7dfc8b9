"""The part of a page that says which classes are recognised and which are confused."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from neural_epitome.report import markup

# Up to so many classes the confusion matrix has room beside the accuracies.
BESIDE = 12
# Up to so many classes all have a row, folded away; a browser takes seconds for more.
ALL = 2_000
# Rows of the tables of the worst classes and the most confused pairs.
WORST, PAIRS = 10, 10

STYLE = """
table.heat { font-size: .8rem; border-collapse: separate; border-spacing: 1px; }
table.heat th { font-weight: 400; border: 0; }
table.heat td { text-align: center; padding: .1rem; min-width: 1.6rem; height: 1.6rem;
                border: 0; background: var(--back); font-size: .75rem; }
table.heat th.column { vertical-align: bottom; padding: .3rem 0; text-align: left;
                       writing-mode: vertical-rl; transform: rotate(180deg);
                       min-width: 0; font-size: .8rem; }
table.heat th.row { text-align: right; padding: 0 .5rem 0 0; max-width: 7rem;
                    min-width: 0; overflow: hidden; text-overflow: ellipsis;
                    white-space: nowrap; position: sticky; left: 0; background: #fff; }
table.bars td:last-child { width: 8rem; min-width: 4rem; }
table.bars td:first-child { white-space: normal; min-width: 8.5rem; }
@media (max-width: 30rem) { table.bars td:last-child { width: 4rem; } }
table.pairs td, table.pairs th { text-align: left; white-space: normal; }
table.pairs td:last-child, table.pairs th:last-child { text-align: right; }
table.bars .bar { background: var(--blue); height: .6rem; border-radius: 2px; }
.columns { display: grid; gap: 0 2.5rem;
           grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr)); }
.columns.wide { grid-template-columns: minmax(0, 1fr); }
.columns > div { min-width: 0; }
"""


def parts(evaluation: Mapping[str, Any]) -> list[str]:
  """HTML of the accuracy by class and of what is confused.

  Args:
    evaluation: of `predictions.summarise`.
  """
  rows = evaluation["classes"]
  matrix = evaluation["confusion"]
  if matrix is not None:
    names = [row["class"] for row in rows]
    left = ["<h3>Accuracy by class</h3>", accuracy(rows)]
    axes = '<div class="pale">a row a true class, a column a predicted one</div>'
    right = ["<h3>Confusion matrix</h3>", axes, heat(names, matrix)]
  else:
    worst = sorted((row for row in rows if row["examples"]), key=_share)[:WORST]
    left = [
      f"<h3>The {len(worst)} worst classes of {len(rows):,}</h3>",
      accuracy(worst),
    ]
    if len(rows) <= ALL:
      left.append(markup.details(f"All {len(rows):,} classes", accuracy(rows)))
    else:
      left.append('<p class="pale">All of them are in evaluation.json.</p>')
    right = []
  pairs = evaluation["confused"][:PAIRS]
  if pairs:
    cells = [[p["label"], p["predicted"], f"{p['count']:,}"] for p in pairs]
    table = markup.table(["is", "is taken for", "times"], cells, "pairs")
    title = "<h3>Confused most often</h3>"
    right.append(
      title + table if matrix is None else markup.details("Confused most often", table)
    )
  is_wide = matrix is not None and len(matrix) > BESIDE
  kind = "columns wide" if is_wide else "columns"
  columns = f'<div class="{kind}"><div>{"".join(left)}</div>'
  columns += f"<div>{''.join(right)}</div></div>"
  if evaluation["not_finite"]:
    count = evaluation["not_finite"]
    columns += f"<p>Of {count:,} examples the prediction is not finite.</p>"
  return [columns]


def accuracy(rows: Sequence[Mapping[str, Any]]) -> str:
  """A table of the classes with their examples, top-1 and a bar of that length.

  Args:
    rows: `classes` of `predictions.summarise`.
  """
  body = []
  for row in rows:
    share = _share(row)
    top1 = f"{share:.1%}" if row["examples"] else ""
    body.append(
      f"<tr><td>{html.escape(row['class'])}</td><td>{row['examples']:,}</td>"
      f'<td>{top1}</td><td><div class="bar" style="width:{share:.1%}"></div></td></tr>'
    )
  head = "<tr><th>class</th><th>examples</th><th>top-1</th><th></th></tr>"
  return markup.scrolling(f'<table class="bars">{head}{"".join(body)}</table>')


def heat(names: Sequence[str], matrix: Sequence[Sequence[int]]) -> str:
  """A confusion matrix as a table of coloured cells, with one row for each label.

  Args:
    names: class names, by label.
    matrix: `confusion` of `predictions.summarise`.
  """
  head = "".join(f'<th class="column">{html.escape(name)}</th>' for name in names)
  body = []
  for index, (name, counts) in enumerate(zip(names, matrix, strict=True)):
    total = max(1, sum(counts))
    cells = "".join(
      _cell(count, count / total, is_right=column == index)
      for column, count in enumerate(counts)
    )
    title = html.escape(name)
    body.append(f'<tr><th class="row" title="{title}">{title}</th>{cells}</tr>')
  table = f'<table class="heat"><tr><th></th>{head}</tr>{"".join(body)}</table>'
  return markup.scrolling(table)


def _cell(count: int, share: float, *, is_right: bool) -> str:
  if not count:
    return "<td></td>"
  colour = "31, 95, 168" if is_right else "209, 96, 43"
  # Confusions are few: their scale is steeper, and the root keeps single ones visible.
  alpha = share if is_right else min(1.0, (2.5 * share) ** 0.5)
  ink = "#fff" if alpha > 0.7 else "inherit"
  style = f"background:rgba({colour},{alpha:.2f});color:{ink}"
  return f'<td style="{style}">{count:,}</td>'


def _share(row: Mapping[str, Any]) -> float:
  return row["correct"] / max(1, row["examples"])
