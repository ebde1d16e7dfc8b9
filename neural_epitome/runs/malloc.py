"""Settings of the C library's malloc for programs that XLA runs on a CPU.

They only concern glibc, and change nothing but time and memory.

XLA's CPU backend asks for the scratch memory of a step when the step begins and
returns it at the end. Above 32 MiB glibc passes both to the kernel, which then
clears every page anew on the next step: for MobileNetV2 at 224 px and batch 8,
290,000 page faults, a third of the step.

Compiling, in turn, leaves a gigabyte in a hundred thousand free pieces of a few KiB,
and a step's own requests of that size walk lists of thousands of them: a third of the
step again, with all threads waiting for the one heap.
"""

import ctypes
import os
import sys
from xml.etree import ElementTree

# From malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
# Below, every size has a list of its own; above, lists are short.
_SMALLEST, _LARGEST = 1040, 2**20
_HEADER = 8
_PASSES = 12

_is_kept = False


def keep_freed_memory() -> bool:
  """Makes glibc's malloc reuse freed memory, whatever its size.

  Call it before JAX starts its threads: they share one heap from then on. The
  process keeps its peak memory until it ends; nothing else changes.

  Returns:
    Whether the C library took the settings (it is glibc).
  """
  global _is_kept
  library = _glibc()
  if library is None:
    return False
  settings = {
    _ARENA_MAX: 1,
    _MMAP_MAX: 0,
    _TRIM_THRESHOLD: 2**31 - 1,
    _TOP_PAD: 64 * 2**20,
  }
  _is_kept = all([library.mallopt(name, value) for name, value in settings.items()])
  return _is_kept


def retire_fragments() -> int:
  """Takes the free pieces between 1 KiB and 1 MiB out of use, for good.

  Call it when compiling is over. Resident memory does not grow: the pieces were
  resident, and would not have been returned. It does nothing unless
  `keep_freed_memory` was called, which is a choice for a whole process.

  Returns:
    Bytes retired.
  """
  library = _glibc() if _is_kept else None
  if library is None:
    return 0
  retired = 0
  # What is left over where a piece is cut lands on a list below: again, until few are.
  for _ in range(_PASSES):
    before = retired
    for smallest, largest, count in _free_pieces(library):
      if smallest >= _SMALLEST and largest < _LARGEST:
        # The smallest piece of a list is found at once, whatever the list's length.
        for _ in range(count):
          library.malloc(smallest - _HEADER)
        retired += count * smallest
    if retired - before < retired // 100:
      break
  return retired


def _glibc() -> ctypes.CDLL | None:
  if not sys.platform.startswith("linux"):
    return None
  try:
    library = ctypes.CDLL("libc.so.6")
    library.malloc.argtypes, library.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
    library.fdopen.argtypes = [ctypes.c_int, ctypes.c_char_p]
    library.fdopen.restype = ctypes.c_void_p
    library.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
    library.fclose.argtypes = [ctypes.c_void_p]
    assert library.mallopt
    assert os.memfd_create
  except (OSError, AttributeError):
    return None
  return library


def _free_pieces(library: ctypes.CDLL) -> list[tuple[int, int, int]]:
  """(smallest size, largest size, how many) of each of malloc's free lists."""
  # In memory: a full disk of temporary files is no reason to end a run.
  with open(os.memfd_create("malloc_info"), "w+b") as file:
    stream = library.fdopen(os.dup(file.fileno()), b"w")
    library.malloc_info(0, stream)
    library.fclose(stream)
    file.seek(0)
    pieces = []
    for entry in ElementTree.parse(file).iter("size"):
      smallest, largest, count = (int(entry.attrib[k]) for k in ("from", "to", "count"))
      # Sizes may carry malloc's flags in their lowest bits.
      pieces.append((smallest // 16 * 16, largest, count))
    return pieces
