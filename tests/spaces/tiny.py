"""A space whose supernet compiles in a second or two."""

from neural_epitome.spaces.chain_space import ChainSpace

SPACE = ChainSpace(
  stages=((2, 8, 1), (4, 16, 2), (2, 16, 1)),
  stage_strides=(1, 2, 1),
  stem=8,
  head=16,
  image_size=8,
  width_step=8,
  windows=(3, 5),
  operations=("plain", "squeeze_excite"),
  rates=(1, 2, 4),
  bits=(32, 8, 4),
)
# What is searched quickly: no rates, bits or operations.
PLAIN = ChainSpace(
  stages=((2, 8, 1), (4, 16, 2)),
  stage_strides=(2, 2),
  stem=8,
  head=16,
  width_step=8,
)
