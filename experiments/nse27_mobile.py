r"""Search: NSE on ImageNet, 27 operations in 22 cells, at 300 million multiply-adds.

Neural Search-space Evolution (arXiv 2011.10904) with the hyper-parameters of its
authors' code: six rounds of 100 epochs with five operations of a cell, gates by Adam at
0.005 every second step, a penalty of 1e-5 a squared million of multiply-adds, 2,000
architectures scored a round on images that were held out. The window, 4% to either
side, is ours, since the released settings lack it; so is the recipe of the final
network, which is not released either, and momentum without Nesterov's term. Six rounds
show 25 of a cell's 27 operations at most. Parameters and MAdds are those of all
operations together.

Parameters: 157,821,912
MAdds: 25,139.8M
Top-1: not run here: it needs ImageNet and accelerators
Time: not run here
Command:
  python -m neural_epitome.data.prepare imagenet2012 --source=ARCHIVES --data_dir=DIR
  python -m neural_epitome.main --mode=search --experiment=nse27_mobile --data_dir=DIR
"""

import dataclasses

from experiments.nsenet27_imagenet import CONFIG as RETRAINED
from neural_epitome.models.nse_networks import MOBILE_FRAME
from neural_epitome.spaces import MultiBranchSupernetConfig
from neural_epitome.spaces.gate_options import GateOptions
from neural_epitome.spaces.multi_branch_space import MultiBranchSpace
from neural_epitome.strategies import NSE
from neural_epitome.strategies.options import SearchOptions

DRIFT = 0.04
CONFIG = dataclasses.replace(
  RETRAINED,
  model=MultiBranchSupernetConfig(
    space=MultiBranchSpace(MOBILE_FRAME), gates=GateOptions()
  ),
  data=dataclasses.replace(
    RETRAINED.data, train_split="train[:96%]", evaluation_split="train[96%:]"
  ),
  training=dataclasses.replace(
    RETRAINED.training,
    epochs=100.0,
    seed=233,
    label_smoothing=0.0,
    ema_decay=0.0,
    reestimation_batches=0,
    evaluate_every=0.0,
  ),
  search=SearchOptions(
    strategy=NSE(capacity=5, samples=2000, extra=100, drift=DRIFT),
    budget=300e6 * (1 + DRIFT),
    statistics_batches=50,
    final_start="scratch",
    final_epochs=250.0,
    final_evaluation_split="validation",
  ),
)
