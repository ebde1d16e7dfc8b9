r"""Search: NSE on ImageNet, 72 operations in 22 cells, from what another search found.

The second space of Neural Search-space Evolution (arXiv 2011.10904): the 27 operations
of the first, which keep their numbers, and 45 with convolutions in groups. Its authors
begin with the operations of the first search's front and run three rounds; the rest is
as in `nse27_mobile`. Three rounds show few of 72 operations: the search says so, and
its report how many were seen. Parameters and MAdds are those of all operations
together.

Parameters: 221,657,272
MAdds: 38,941.6M
Top-1: not run here: it needs ImageNet and accelerators
Time: not run here
Command:
  python -m neural_epitome.main --mode=search --experiment=nse27_mobile --data_dir=DIR \
    --workdir=runs/nse27
  python -m neural_epitome.main --mode=search --experiment=nse_group_mobile \
    --data_dir=DIR --config.search.strategy.start=runs/nse27/search/found.json
"""

import dataclasses

from experiments.nse27_mobile import CONFIG as FIRST
from experiments.nse27_mobile import DRIFT
from neural_epitome.models.nse_networks import MOBILE_FRAME
from neural_epitome.spaces import MultiBranchSupernetConfig
from neural_epitome.spaces.gate_options import GateOptions
from neural_epitome.spaces.multi_branch_space import MultiBranchSpace
from neural_epitome.strategies import NSE

CONFIG = dataclasses.replace(
  FIRST,
  model=MultiBranchSupernetConfig(
    space=MultiBranchSpace(dataclasses.replace(MOBILE_FRAME, pool="grouped")),
    gates=GateOptions(),
  ),
  search=dataclasses.replace(
    FIRST.search,
    strategy=NSE(capacity=5, rounds=3, samples=2000, extra=100, drift=DRIFT),
  ),
)
