r"""Search: NSE on ImageNet, 19 operations in 21 cells, in milliseconds of your machine.

The third space of Neural Search-space Evolution (arXiv 2011.10904), three rounds with
six operations of a cell. The published target is in a unit that is not told, and its
window is another one; here both come from the budget, 3% of the latency of all
operations together, which is about what the published network has of their
multiply-adds. The penalty is 2e-4 a squared millisecond of a call of the table's batch:
weigh it anew for another batch. The rest is as in `nse27_mobile`. Parameters and MAdds
are those of all operations together.

Parameters: 262,487,576
MAdds: 45,417.0M
Top-1: not run here: it needs ImageNet and accelerators
Time: not run here
Command:
  python -m neural_epitome.main --mode=latency_table --experiment=nse_gpu_latency \
    --batch=128 --output=latency.json
  python -m neural_epitome.main --mode=search --experiment=nse_gpu_latency \
    --config.search.latency_table=latency.json --data_dir=DIR
"""

import dataclasses

from experiments.nse27_mobile import CONFIG as FIRST
from neural_epitome.models.nse_networks import GPU_FRAME
from neural_epitome.spaces import MultiBranchSupernetConfig
from neural_epitome.spaces.gate_options import GateOptions, Penalty
from neural_epitome.spaces.multi_branch_space import MultiBranchSpace
from neural_epitome.strategies import NSE

CONFIG = dataclasses.replace(
  FIRST,
  model=MultiBranchSupernetConfig(
    space=MultiBranchSpace(GPU_FRAME),
    gates=GateOptions(penalties=(Penalty("latency", weight=2e-4),)),
  ),
  search=dataclasses.replace(
    FIRST.search,
    strategy=NSE(capacity=6, samples=2000, extra=100, drift=0.083, strip=0.028),
    metric="latency",
    budget=0.0,
    share=0.03,
  ),
)
