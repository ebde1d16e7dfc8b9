"""Damaged and hostile compact files, graphs and examples: read, or refused in one line.

  python -m tests.weight_files.mutation --files=3000

As `tests.state_dicts.mutation`, whose damage it does, for what --mode=compress writes
and what stands beside it: `compact`, a file that is expanded, loaded and compared with
the weights that it was made of, changed in its bytes or in the text of its plan;
`graph`, the ONNX file that a small one is made of; `examples` of a graph.
"""

import base64
import collections
import json
import random
import re
import time
import zlib

import numpy as np

import neural_epitome as ne
from neural_epitome.errors import UserError
from neural_epitome.state_dicts import weights_file
from neural_epitome.weight_files import evaluation, expanding, onnx_examples
from tests.state_dicts import kinds, mutation

KINDS = ("compact", "graph", "examples")
# What the texts of plans are changed to.
NUMBERS = (b"-1", b"0", b"1", b"7", b"64", b"100000", b"1e99", b"null", b'"x"', b"[]")


class _Input:
  """As ONNX Runtime tells an input."""

  def __init__(self, name, shape):
    self.name, self.shape, self.type = name, shape, "tensor(float)"


def samples(folder):
  """A file of every kind, by kind; `compact` was made of `graph`."""
  state = {
    "conv.weight": np.random.default_rng(0).standard_normal((16, 8, 3, 3)).astype("f4"),
    "conv.bias": np.zeros(16, "f4"),
  }
  # Neighbours are alike, so that starts are coded in context.
  state["line.weight"] = np.cumsum(state["conv.weight"].reshape(24, 48), 1)
  kinds.onnx(folder / "graph", state)
  ne.compress_file(folder / "graph", "3x", quiet=True).save(folder / "it.safetensors")
  np.savez(folder / "it.npz", image=np.zeros((4, 8, 5, 5), "f4"), labels=np.arange(4))
  paths = folder / "it.safetensors", folder / "graph", folder / "it.npz"
  return dict(zip(KINDS, paths, strict=True))


def replanned(content, draw):
  """A compact file with a number or a text of its plan changed, and right lengths."""
  start = 8 + int.from_bytes(content[:8], "little")
  header = json.loads(content[8:start])
  packed = header["__metadata__"]["description"]
  text = zlib.decompress(base64.b64decode(packed))
  if draw.random() < 0.5:
    found = draw.choice(list(re.finditer(rb'(?<=[:\[,])(-?\d+|null|"\w+")', text)))
    text = text[: found.start()] + draw.choice(NUMBERS) + text[found.end() :]
  else:
    text = mutation.damage(text, text, draw)
  header["__metadata__"]["description"] = base64.b64encode(zlib.compress(text)).decode()
  head = json.dumps(header).encode()
  return len(head).to_bytes(8, "little") + head + content[start:]


def mutate(path, source, kind, others, draw):
  """Writes a changed copy of a file of this kind."""
  content, other = source.read_bytes(), draw.choice(others)
  if kind == "compact" and draw.random() < 0.6:
    path.write_bytes(replanned(content, draw))
  elif kind == "examples" and draw.random() < 0.7:
    path.write_bytes(mutation.damaged_inside(content, other, draw))
  else:
    path.write_bytes(mutation.damage(content, other, draw))


def use(path, kind, paths, folder):
  """All that is done with a file of this kind."""
  if kind == "examples":
    arguments = {"image": _Input("image", ["N", 8, 5, 5])}
    onnx_examples.read(path, arguments)
  elif kind == "graph":
    expanding.expand_file(paths["compact"], folder / "small.onnx", "onnx", path)
  else:
    expanding.expand_file(path, folder / "full.npz", "npz")
    small = ne.load_compressed(path)
    small.save(folder / "again.safetensors")
    evaluation.beside(path, weights_file.read(paths["graph"]))


def outcome(path, kind, paths, folder):
  """What becomes of a file: whether it is read, else why not."""
  start, line, said = time.perf_counter(), "", "read"
  mutation.GUARD.is_on = True
  try:
    use(path, kind, paths, folder)
  except UserError as error:
    said, line = "refused", str(error)
  finally:
    mutation.GUARD.is_on = False
  assert line.isprintable(), f"not one line of text: {line!r}"
  assert len(line) < 1000, "a line of more than 1000 characters"
  assert not mutation.GUARD.done, f"did {mutation.GUARD.done}"
  seconds = time.perf_counter() - start
  assert seconds < 3 * mutation.SECONDS, f"took {seconds:.1f} s"
  return said


def run(folder, count, seed, chosen=None):
  """How many files were read and refused, by kind; see `tests.state_dicts.mutation`."""
  paths, counts = samples(folder), collections.Counter()
  others = [path.read_bytes() for path in paths.values()]
  for number in range(count):
    draw = random.Random(f"{seed} {number}")
    kind = draw.choice(chosen or KINDS)
    path = folder / ("changed" + {"compact": ".safetensors"}.get(kind, ""))
    mutate(path, paths[kind], kind, others, draw)
    try:
      counts[kind, outcome(path, kind, paths, folder)] += 1
    except Exception as error:
      error.add_note(f"file {number} of seed {seed}: {path}, {kind}")
      raise
  return counts


if __name__ == "__main__":
  mutation.command(__doc__, run, files=3000, megabytes=12000)
