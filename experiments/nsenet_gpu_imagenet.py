r"""NSENet-GPU on ImageNet: the network that NSE found for a latency.

As published (arXiv 2011.10904), without what its encoding does not say; see
`nsenet27_imagenet`, whose recipe this is.

Parameters: 15,743,320
MAdds: 1,471.1M
Top-1: not run here: it needs ImageNet and accelerators
Time: not run here
Command:
  python -m neural_epitome.main --experiment=nsenet_gpu_imagenet --data_dir=DIR
"""

import dataclasses

from experiments.nsenet27_imagenet import CONFIG as MOBILE
from neural_epitome.models.nse_networks import NSENET_GPU

CONFIG = dataclasses.replace(MOBILE, model=NSENET_GPU)
