r"""Search: NetAdaptV2 on ImageNet over widths, depth, windows and epitome rates.

The budget is half of the latency of the largest network, whose parameters and MAdds
stand below, as measured on this machine. The published hyper-parameters are not known
(arXiv 2104.00031 was read in part). These are ours: a supernet by ordered dropout for
120 epochs of 98% of the training images, choices compared on 10,000 of the others (6 GB
of memory a host), and 250 epochs for what was found. Bits are not searched, as they
change no latency; with --config.search.metric=bytes and
--config.model.space.bits='[32, 8]' they are.

Parameters: 5,089,240
MAdds: 618.6M
Top-1: not run here: it needs ImageNet and accelerators
Time: not run here
Command:
  python -m neural_epitome.main --mode=latency_table \
    --experiment=netadaptv2_mobile_imagenet --output=latency.json
  python -m neural_epitome.main --mode=search --experiment=netadaptv2_mobile_imagenet \
    --config.search.latency_table=latency.json --data_dir=DIR
"""

import dataclasses

from experiments.mbv2_dense_imagenet import CONFIG as DENSE
from neural_epitome.spaces import SupernetConfig
from neural_epitome.spaces.chain_space import ChainSpace
from neural_epitome.strategies import NetAdapt
from neural_epitome.strategies.options import SearchOptions

CONFIG = dataclasses.replace(
  DENSE,
  model=SupernetConfig(
    space=ChainSpace(
      stages=(
        (2, 16, 1),
        (6, 24, 3),
        (6, 40, 4),
        (6, 80, 4),
        (6, 96, 4),
        (6, 192, 4),
        (6, 320, 1),
      ),
      stage_strides=(1, 2, 2, 2, 1, 2, 1),
      head=1280,
      image_size=224,
      most_widths=6,
      windows=(3, 5, 7),
      rates=(1, 2),
    ),
    dropout=0.2,
  ),
  data=dataclasses.replace(
    DENSE.data, train_split="train[:98%]", evaluation_split="train[98%:]"
  ),
  training=dataclasses.replace(DENSE.training, epochs=120.0, reestimation_batches=0),
  search=SearchOptions(
    strategy=NetAdapt(layers=6, samples=64, reduction=0.03),
    metric="latency",
    share=0.5,
    statistics_batches=20,
    examples=10_000,
    final_epochs=250.0,
    final_evaluation_split="validation",
  ),
)
