"""python -m benchmarks.inference: see `measurement`.

Processes that are spawned do not find what a package's __main__ defines.
"""

from benchmarks.inference.measurement import main

if __name__ == "__main__":
  main()
