"""MobileNetV2 of 1000 classes in a megabyte.

  python -m benchmarks.inference.one_megabyte

A tile of every 1x1 kernel and of the classifier, planned for the budget and written in
integers of 8 bits, random weights. The file is expanded by the reader that knows NumPy
alone, and its kernels run in the dense network; what that says of noise at 224 px is
compared with the network that rounds its epitomes as it is trained to.
"""

import argparse
import dataclasses
import tempfile
from pathlib import Path

import jax
import numpy as np

from benchmarks import common
from benchmarks.inference import measurement as inference
from neural_epitome.compression import compact_reader
from neural_epitome.cost import totals
from neural_epitome.epitome import flat_variables
from neural_epitome.epitome.generators import EpitomeRule
from neural_epitome.export import compact
from neural_epitome.planning import BudgetPlanner, DensePlanner, RatePlanner
from neural_epitome.training import setup

MEGABYTE, BITS = 1_000_000, 8
# What a file holds beside the numbers: names, shapes and the plan.
DESCRIPTION = 10_000


def main() -> None:
  """Writes the file, runs it, and writes results/one_megabyte.csv."""
  argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
  rules = RatePlanner(rule=EpitomeRule(routing="tile"))
  planner = BudgetPlanner(bytes=MEGABYTE - DESCRIPTION, bits=BITS, rules=rules)
  config = inference.configuration(2.0, "wide", 224)
  config = dataclasses.replace(config, planner=planner, bits=BITS)
  quantised = inference.network(config, planner)
  inventory = setup.take_inventory(config, inference.CLASSES)
  price = totals.price(quantised.plan, inventory)
  with tempfile.TemporaryDirectory() as directory:
    path = Path(directory) / "network.safetensors"
    compact.write(path, quantised)
    size = path.stat().st_size
    expanded = compact_reader.read(path).parameters()
  dense = setup.build(
    quantised.config, inference.CLASSES, DensePlanner().plan(inventory), merged=True
  )
  shape = (4, *config.data.input_shape)
  images = np.random.default_rng(0).normal(size=shape).astype(np.float32)
  runs = (
    (quantised.model, quantised.variables),
    (dense, {"params": flat_variables.nested(expanded)}),
  )
  quantised_logits, expanded_logits = (
    np.asarray(jax.jit(model.apply)(variables, images)) for model, variables in runs
  )
  row = {
    "network": "mobilenet_v2",
    "classes": inference.CLASSES,
    "bits": BITS,
    "file_bytes": size,
    "is_a_megabyte": size <= MEGABYTE,
    "priced_bytes": price.stored_bytes,
    "stored_numbers": price.stored_params,
    "expanded_params": sum(array.size for array in expanded.values()),
    "largest_logit": float(np.abs(quantised_logits).max()),
    "largest_difference": float(np.abs(expanded_logits - quantised_logits).max()),
  }
  print(*(f"{name}: {value}" for name, value in row.items()), sep="\n")
  print(common.write("one_megabyte", [row]))


if __name__ == "__main__":
  main()
