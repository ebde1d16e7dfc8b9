"""Where the blocks of the largest network of a chain stand."""

import itertools

import hypothesis
from hypothesis import strategies as st

from neural_epitome.spaces.chain_positions import positions

STAGES = st.lists(
  st.tuples(st.integers(1, 6), st.integers(1, 64), st.integers(1, 4)),
  min_size=1,
  max_size=4,
)


@hypothesis.settings(max_examples=25)
@hypothesis.given(
  STAGES, st.data(), st.integers(1, 32), st.integers(1, 224), st.integers(1, 8)
)
def test_each_block_reads_what_the_one_before_it_makes(stages, data, stem, size, step):
  strides = data.draw(
    st.lists(st.sampled_from([1, 2]), min_size=len(stages), max_size=len(stages))
  )
  blocks = positions(
    stages, strides, stem=stem, size=size, width_step=step, most_widths=0
  )
  assert len(blocks) == sum(count for *_, count in stages)
  assert (blocks[0].inputs, blocks[0].size) == (stem, size)
  for block, following in itertools.pairwise(blocks):
    assert following.inputs == block.features
    assert following.size == -(-block.size // block.stride)
  for block in blocks:
    assert block.is_residual == (block.stride == 1 and block.inputs == block.features)


@hypothesis.given(STAGES, st.integers(1, 32), st.integers(1, 8), st.integers(1, 8))
def test_widths_are_multiples_of_the_step_and_no_more_than_so_many(
  stages, stem, step, most
):
  blocks = positions(
    stages, [1] * len(stages), stem=stem, size=8, width_step=step, most_widths=most
  )
  expansions = [expansion for expansion, _, count in stages for _ in range(count)]
  for block, expansion in zip(blocks, expansions, strict=True):
    assert block.step % step == 0
    assert block.largest % block.step == 0
    assert block.largest <= block.inputs * expansion < block.largest + block.step
    assert block.largest // block.step <= most
