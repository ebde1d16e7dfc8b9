"""python -m benchmarks.faults: see `injection`.

Processes that are spawned do not find what a package's __main__ defines.
"""

import sys

from benchmarks.faults.injection import main
from neural_epitome.errors import UserError

if __name__ == "__main__":
  try:
    main()
  except UserError as error:
    sys.exit(f"error: {error}")
