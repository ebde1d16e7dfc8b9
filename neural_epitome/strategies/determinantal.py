"""A few of many candidates that are good and apart from each other.

A determinantal point process with the kernel L = q_i s_ij q_j draws a set with a
probability in proportion to its determinant: large where qualities q are and where
likenesses s are small (Kulesza and Taskar, arXiv 1207.6083). Its likeliest set is
looked for greedily (Chen et al., arXiv 1709.05135, algorithm 1).
"""

import numpy as np


def likeliest(quality: np.ndarray, alike: np.ndarray, count: int) -> list[int]:
  """Indices of a set that is good and apart, the best first.

  Args:
    quality: float64 (candidates,), at least 0.
    alike: float64 (candidates, candidates), positive semidefinite, 1 on its diagonal.
    count: the most that are taken; fewer where further ones are no different from them.
  """
  gain = np.square(quality).astype(float)
  rows = np.zeros((count, len(quality)))
  chosen: list[int] = []
  while len(chosen) < min(count, len(quality)):
    best = int(np.argmax(gain))
    # A candidate that a part of the others makes up adds nothing but rounding.
    if gain[best] <= 1e-10 * quality[best] ** 2:
      break
    number = len(chosen)
    kernel = quality[best] * alike[best] * quality
    known = rows[:number, best] @ rows[:number]
    rows[number] = (kernel - known) / np.sqrt(gain[best])
    gain = gain - rows[number] ** 2
    gain[[*chosen, best]] = -np.inf
    chosen.append(best)
  return chosen
