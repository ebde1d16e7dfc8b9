"""A small network as torch would save it: kernels of several kinds, and the rest."""

import numpy as np

from neural_epitome.state_dicts import leaves, writing
from neural_epitome.state_dicts.weights_file import Form


def smooth(random, *shape):
  """Numbers whose neighbours on the last axis are alike."""
  noise = random.standard_normal((*shape[:-1], shape[-1] + 4)).astype(np.float32)
  return sum(noise[..., i : i + shape[-1]] for i in range(5)) / 3


def state(seed=0):
  """Arrays by name, in torch's shapes."""
  random = np.random.default_rng(seed)
  return {
    "conv.weight": smooth(random, 16, 8, 3, 3),
    "conv.bias": random.standard_normal(16).astype(np.float32),
    "norm.weight": np.ones(16, np.float32),
    "norm.running_var": np.full(16, 1e-8, np.float32),
    "norm.num_batches_tracked": np.asarray(7, np.int64),
    "line.weight": smooth(random, 24, 16, 32),
    "head.weight": smooth(random, 300, 24).T.copy().T,
    "half.weight": random.standard_normal((64, 32)).astype(np.float16),
  }


def save(path, arrays, kind="torch"):
  """Writes them as a file of that kind."""
  dtypes = {name: str(array.dtype) for name, array in arrays.items()}
  paths = {name: (name,) for name in arrays}
  widened = {
    name: array.astype(np.float32) if dtypes[name] in leaves.FLOATING else array
    for name, array in arrays.items()
  }
  writing.write(path, widened, Form(kind, dtypes, paths))
  return path
