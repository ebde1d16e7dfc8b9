"""Damaged and hostile files of weights of every kind: read, or refused in one line.

  python -m tests.state_dicts.mutation --files=10000

Each is a small file of a kind in which bits are turned, bytes cut, spliced or replaced
by extreme lengths, or arrays named as no network does. Members of archives are changed
inside, so that their check sums are right. It stops at the first file that raises any
other error than `UserError`, takes too long, asks for more memory than it may, or does
anything but read; that file stays in the folder that is named.
"""

import argparse
import collections
import io
import pathlib
import random
import re
import resource
import shutil
import sys
import tempfile
import time
import warnings
import zipfile

import numpy as np

from neural_epitome.errors import UserError
from neural_epitome.state_dicts import weights_file, writing
from tests.state_dicts import files, kinds

SECONDS = 20.0
# What no reader does.
FORBIDDEN = (
  "os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork",
  "socket.connect", "os.remove", "os.rename", "shutil.rmtree", "os.putenv",
)  # fmt: skip
EXTREMES = (
  b"\xff" * 4, b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\xff\xff\xff\x7f", bytes(8),
  b"\x00\x00\x00\x80", b"99999999", b"-1", b"1e99", b"\x80\x04", b"cos\nsystem\n",
  b"(S'true'\ntR.", b"\x93", b"Q", b"R", b"b", b"\x81", b"r\xff\xff\xff\x7f",
)  # fmt: skip
NAMES = (
  "__proto__", "../x", "a/../../b", "", "x" * 10_000, "a\nb", "\x00", "a.b", "/",
  "__metadata__", "größe", "constructor.weight", "%s%n", "data.pkl", "a" + "/b" * 300,
)  # fmt: skip


class Guard:
  """Notes what is done that a reader must not do, while it is on."""

  def __init__(self):
    self.is_on, self.done = False, []
    sys.addaudithook(self._hook)

  def _hook(self, event, arguments):
    # What is written is given its name when it is whole; see `whole_files`.
    is_ours = event in ("os.rename", "os.remove") and re.search(
      r"/[\w.]+\.partial$", str(arguments[0])
    )
    if self.is_on and event in FORBIDDEN and not is_ours:
      self.done.append((event, str(arguments)[:200]))


GUARD = Guard()


def samples(folder):
  """A small file of every kind, by kind."""
  draw = np.random.default_rng(0)
  state = {
    "conv.weight": draw.standard_normal((4, 3, 3, 3)).astype(np.float32),
    "conv.bias": draw.standard_normal(4).astype(np.float16),
    "fc.weight": draw.standard_normal((5, 4)).astype(np.float32),
  }
  paths = {}
  for kind, write in kinds.WRITERS.items():
    paths[kind] = folder / kind
    write(paths[kind], state)
  paths["torch_old"] = folder / "torch_old"
  files.save(paths["torch_old"], state, old=True)
  return paths


def damage(content, other, draw):
  """Bytes with some of them changed."""
  content = bytearray(content)
  for _ in range(draw.choice([1, 1, 2, 5])):
    at = draw.randrange(len(content) + 1)
    match draw.randrange(7):
      case 0 | 1:
        if content:
          content[at % len(content)] ^= 1 << draw.randrange(8)
      case 2:
        content = content[:at]
      case 3:
        start = draw.randrange(len(other) + 1)
        content[at:] = other[start:]
      case 4:
        piece = draw.choice(EXTREMES)
        content[at : at + len(piece)] = piece
      case 5:
        content[at:at] = draw.choice(EXTREMES)
      case _:
        length = draw.randrange(64)
        content[at : at + length] = draw.randbytes(draw.choice([0, length]))
  return bytes(content)


def damaged_inside(content, other, draw):
  """An archive with one member changed, and right check sums."""
  with zipfile.ZipFile(io.BytesIO(content)) as archive:
    members = {name: archive.read(name) for name in archive.namelist()}
  chosen = draw.choice(sorted(members))
  members[chosen] = damage(members[chosen], other, draw)
  written = io.BytesIO()
  with zipfile.ZipFile(written, "w") as archive:
    for name, member in members.items():
      archive.writestr(zipfile.ZipInfo(name), member)
  return written.getvalue()


def renamed(path, kind, draw):
  """A whole file whose arrays have names as no network gives them."""
  state = {
    draw.choice(NAMES) + draw.choice(["", ".weight", "/kernel"]): np.ones((3, 4), "f4")
    for _ in range(3)
  }
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of names that an archive has twice
    kinds.WRITERS[kind](path, state)


def mutate(path, source, kind, others, draw):
  """Writes a changed copy of a file or folder of this kind."""
  if path.is_dir():
    shutil.rmtree(path)
  path.unlink(missing_ok=True)
  if draw.random() < 0.1 and kind in ("torch", "safetensors", "npz", "msgpack", "onnx"):
    renamed(path, kind, draw)
    return
  other = draw.choice(others)
  if source.is_dir():
    shutil.copytree(source, path)
    path = draw.choice(sorted(file for file in path.rglob("*") if file.is_file()))
    if draw.random() < 0.1:
      path.unlink()
      return
  content = (path if path.exists() else source).read_bytes()
  is_archive = content.startswith(b"PK") and draw.random() < 0.7
  path.write_bytes((damaged_inside if is_archive else damage)(content, other, draw))


def outcome(path, rewritten):
  """What becomes of a file: its kind if it is read, else why not."""
  start, line = time.perf_counter(), ""
  GUARD.is_on = True
  try:
    file = weights_file.read(path)
    for name, layout in file.layouts.items():
      ours = layout.to_ours(file.arrays[name])
      shape = file.arrays[name].shape
      np.testing.assert_array_equal(layout.from_ours(ours, shape), file.arrays[name])
    said = "read"
    if file.kind != "orbax":
      writing.write(rewritten, file.arrays, file.form, "torch")
      again = weights_file.read(rewritten)
      # Prefixes are cut from names as the kind of a file has them.
      full = [
        ["/".join(p) for p in weights.form.paths.values()] for weights in (file, again)
      ]
      assert sorted(full[0]) == sorted(full[1]), "other arrays when written"
  except UserError as error:
    said, line = "refused", str(error)
  finally:
    GUARD.is_on = False
  assert line.isprintable(), f"not one line of text: {line!r}"
  assert len(line) < 1000, "a line of more than 1000 characters"
  assert not GUARD.done, f"did {GUARD.done}"
  seconds = time.perf_counter() - start
  assert seconds < SECONDS, f"took {seconds:.1f} s"
  return said


def run(folder, count, seed, chosen=None):
  """How many files were read and refused, by kind.

  Args:
    folder: for files; empty.
    count: of files.
    seed: of what is changed.
    chosen: kinds; all by default.
  """
  paths = samples(folder)
  others = [path.read_bytes() for path in paths.values() if path.is_file()]
  counts = collections.Counter()
  for number in range(count):
    draw = random.Random(f"{seed} {number}")
    kind = draw.choice(sorted(chosen or paths))
    path = folder / "changed"
    mutate(path, paths[kind], kind, others, draw)
    try:
      counts[kind, outcome(path, folder / "rewritten")] += 1
    except Exception as error:
      error.add_note(f"file {number} of seed {seed}: {path}, {kind}")
      raise
  return counts


def command(description, run, files, megabytes):
  """The command line of a module that mutates files by `run`."""
  parser = argparse.ArgumentParser(
    description=description, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--files", type=int, default=files)
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--kind", action="append", help="repeat; all by default")
  parser.add_argument(
    "--megabytes", type=int, default=megabytes, help="of address space"
  )
  arguments = parser.parse_args()
  room = arguments.megabytes * 2**20
  resource.setrlimit(resource.RLIMIT_AS, (room, room))
  folder, begin = pathlib.Path(tempfile.mkdtemp()), time.monotonic()
  before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  counts = run(folder, arguments.files, arguments.seed, arguments.kind)
  for (kind, said), number in sorted(counts.items()):
    print(f"{kind:12} {said:8} {number:6}")
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  print(f"{time.monotonic() - begin:.0f} s; memory {before >> 10} to {peak >> 10} MB")
  shutil.rmtree(folder)


if __name__ == "__main__":
  command(__doc__, run, files=10_000, megabytes=8000)
