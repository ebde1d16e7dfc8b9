r"""NSENet on ImageNet: the network that NSE found among 72 operations.

As published (arXiv 2011.10904), without what its encoding does not say; see
`nsenet27_imagenet`, whose recipe this is.

Parameters: 4,565,024
MAdds: 331.0M
Top-1: not run here: it needs ImageNet and accelerators
Time: not run here
Command:
  python -m neural_epitome.main --experiment=nsenet_imagenet --data_dir=DIR
"""

import dataclasses

from experiments.nsenet27_imagenet import CONFIG as MOBILE
from neural_epitome.models.nse_networks import NSENET

CONFIG = dataclasses.replace(MOBILE, model=NSENET)
