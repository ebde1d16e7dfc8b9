"""The networks that NSE's authors published, and the frames that they searched.

Ci et al., ICCV 2021 (arXiv 2011.10904); encodings and widths are those of the authors'
code.
"""

from collections.abc import Sequence

from neural_epitome.models.multi_branch import MultiBranchConfig, Stage


def _stages(widths: Sequence[int], cells: Sequence[int]) -> tuple[Stage, ...]:
  strides = (2, 2, 2, 1, 2, 1)
  return tuple(map(Stage, widths, strides, cells))


_WIDTHS = (24, 40, 80, 96, 192, 320)
_GPU_WIDTHS = (32, 64, 128, 256)
# 22 cells of the two mobile spaces, 21 of the one that is searched for latency.
MOBILE_FRAME = MultiBranchConfig(
  pool="madds", cells=(), stages=_stages(_WIDTHS, (3, 3, 3, 3, 3, 0))
)
GPU_FRAME = MultiBranchConfig(
  pool="gpu", cells=(), stages=tuple(map(Stage, _GPU_WIDTHS, (2,) * 4, (3, 3, 7, 3)))
)
# As published, without what the encodings do not say (squeeze-and-excitation).
NSENET27 = MultiBranchConfig(
  pool="madds",
  cells=(
    *((0,), (6,), (3,), (0,), (16,), (3,), (9,), (11, 17), (9, 2), (12,), (1, 6)),
    *((9, 12), (9,), (17, 14), (21,), (3,), (13,), (19, 3, 14)),
  ),
  stages=_stages(_WIDTHS, (2, 2, 2, 2, 3, 0)),
  width=1.04,
)
NSENET = MultiBranchConfig(
  pool="grouped",
  cells=(
    *((0,), (34,), (3,), (52,), (35,), (38,), (17, 11, 49), (41,), (35,), (12,)),
    *((1, 10, 6), (9,), (0, 9), (35, 52, 61), (10, 32), (3, 57), (13,), (3, 19, 44)),
  ),
  stages=_stages(_WIDTHS, (1, 2, 3, 2, 3, 0)),
  width=1.045,
)
NSENET_GPU = MultiBranchConfig(
  pool="gpu",
  cells=(
    *((15,), (11,), (1, 17), (16, 1), (11,), (11,), (2, 7), (3,), (1, 6), (11,)),
    *((11, 6), (8, 2), (0, 1, 8, 11), (2, 6, 8, 12, 14)),
  ),
  stem_cells=0,
  stages=tuple(map(Stage, _GPU_WIDTHS, (2,) * 4, (1, 3, 4, 2))),
)
