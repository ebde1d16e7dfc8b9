"""A small space trained whole: every network once, as it would be trained alone."""

import csv
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.quality.images import Images
from benchmarks.search import exhaustive, side_by_side, truth
from benchmarks.search.truth import chain
from neural_epitome.search.tabular import Tabular
from neural_epitome.spaces.table_space import TableSpace


def test_every_network_of_the_space_has_one_encoding():
  encodings = chain.encodings()
  assert len(encodings) == len({chain.arch(own) for own in encodings}) == 3125
  assert len({tuple(chain.names(own).values()) for own in encodings}) == 3125
  for options, gene in zip(chain.OPTIONS, chain.GENES.values(), strict=True):
    assert len(set(gene)) == len(options)


def test_a_first_part_of_the_order_is_an_even_sample():
  first = np.array(chain.encodings()[:625])
  for column in first.T:
    np.testing.assert_allclose(np.bincount(column), 125, atol=35)


def made_up_rows(deviation):
  """Accuracy falls with the place in the order, seeds around it."""
  random = np.random.default_rng(0)
  for number, encoding in enumerate(chain.encodings()):
    row = chain.names(encoding) | {"madds": number, "parameters": 1}
    drawn = 0.5 - number / 10_000 + deviation * random.standard_normal(6)
    yield row | dict(zip([*chain.TOP1, *chain.TEST_TOP1], drawn, strict=True))


def test_noise_is_the_deviation_over_seeds_and_the_order_that_they_agree_on():
  exact, noisy = (chain.noise([*made_up_rows(d)]) for d in (0.0, 0.02))
  assert exact["kendall_tau"] == pytest.approx(1.0)
  assert exact["deviation"] == pytest.approx(0.0, abs=1e-9)
  assert noisy["deviation"] == pytest.approx(0.02, rel=0.05)
  assert 0.5 < noisy["kendall_tau"] < 0.95


def test_a_table_tells_one_seed_and_judges_by_the_others():
  rows = [*made_up_rows(0.02)]
  space = TableSpace(chain.table(rows), "madds")
  arch = space.from_json({"options": list(chain.encodings()[7])})
  measured = Tabular(space, chain.TOP1[0], 100.0).of(arch)
  assert measured["top1_0"] == rows[7]["top1_0"]
  expected = (rows[7]["test_top1_1"] + rows[7]["test_top1_2"]) / 2
  assert measured["test_top1"] == pytest.approx(expected)


def images(count, seed):
  image, label = jax.random.split(jax.random.key(seed))
  return Images(
    jax.random.randint(image, (count, 32, 32, 3), 0, 256).astype(jnp.uint8),
    jax.random.randint(label, (count,), 0, 100),
  )


@pytest.mark.slow
def test_networks_side_by_side_are_each_as_if_alone_and_written_once(
  tmp_path, monkeypatch, capsys
):
  monkeypatch.setattr(chain, "SEEDS", (0, 1))
  monkeypatch.setattr(chain, "TOP1", chain.TOP1[:2])
  monkeypatch.setattr(chain, "TEST_TOP1", chain.TEST_TOP1[:2])
  splits = exhaustive.Splits(images(20, 0), images(10, 1), images(10, 2))
  training = side_by_side.course(chain.SPACE, 20, epochs=1, batch=10)
  archs = [chain.arch(encoding) for encoding in chain.encodings()[:2]]
  together = side_by_side.train(training, archs, (0, 1), splits.train)
  alone = side_by_side.train(training, archs[1:], (0, 1), splits.train)
  for both, one in zip(
    jax.tree.leaves(together["params"]), jax.tree.leaves(alone["params"]), strict=True
  ):
    # Steps of Adam are 4e-3 long, whatever the size of a gradient near 0.
    np.testing.assert_allclose(both[2:], one, atol=1.5e-3)
  for first, second in itertools.combinations(range(4), 2):
    kernels = together["params"]["stem"]["kernel"]
    assert np.any(kernels[first] != kernels[second])
  output, few = tmp_path / "rows.csv", chain.encodings()[:2]
  exhaustive.work(splits, output, seconds=0.0, training=training)
  assert not output.exists()
  for owed in (few[:1], few, few):
    monkeypatch.setattr(chain, "encodings", lambda owed=owed: owed)
    exhaustive.work(splits, output, training=training)
  rows = chain.read(output)
  assert [row["madds"] for row in rows] == [
    str(int(exhaustive.Prices(chain.SPACE, 100, 3).of(a)["madds"])) for a in archs
  ]
  assert all(0 <= float(row[name]) <= 1 for row in rows for name in chain.TOP1)
  exhaustive.show(output)
  assert "2 of 2 networks are trained" in capsys.readouterr().out


def test_the_table_takes_part_once_all_its_rows_are_there(tmp_path):
  rows = [*made_up_rows(0.02)]
  for count in (len(rows) - 1, len(rows)):
    with (tmp_path / "rows.csv").open("w", newline="") as file:
      writer = csv.DictWriter(file, rows[0])
      writer.writeheader()
      writer.writerows(rows[:count])
    tables = truth.known(tmp_path / "rows.csv")
    assert ("chain" in tables) == (count == len(rows))
  judged = tables["chain"]()
  assert judged.judge.told == chain.TOP1[0]
  assert len(judged.judge.space.table.choices) == len(rows)
