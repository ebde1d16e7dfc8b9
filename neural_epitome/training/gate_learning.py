"""Gates that learn while a run trains its weights: the step, and its data.

Every few steps of the weights, the gates take one (`gate_step`) on a batch of the
evaluation split, in the form of training batches. It is a program of its own, so that
the step of the weights compiles once. Which batch and which draws it sees follows from
the number of the weights' step alone, as all else in a run does.
"""

import contextlib
from collections.abc import Callable, Iterator

import jax

from neural_epitome.distributed.devices import AXIS, Batch, over_devices, prefetch
from neural_epitome.training import gate_step, losses
from neural_epitome.training.setup import Setup
from neural_epitome.training.state import State

Step = Callable[[State, Batch], State]


def make_step(gates: gate_step.Gates, setup: Setup, seed: int) -> Step:
  """Builds the compiled step, which changes `State.policy` alone; the state is donated.

  Args:
    gates: of the run.
    setup: of the run.
    seed: of the draws.
  """
  total = max(1, setup.total_steps)

  def on_device(state: State, batch: Batch) -> State:
    key = jax.random.fold_in(jax.random.key(seed), losses.GATE_STREAM)
    policy = gate_step.step(
      setup.model,
      gates.slots,
      gates.options,
      state.policy,
      state.variables(),
      batch,
      jax.random.fold_in(key, state.step),
      gates.kept,
      time=(state.step - 1) * gate_step.KEPT_TIMES // total,
      axis_name=AXIS,
    )
    return state.replace(policy=policy)

  return over_devices(on_device, setup.mesh, donate_argnums=0)


@contextlib.contextmanager
def learning(
  gates: gate_step.Gates | None, learn: Step | None, setup: Setup, step: int
) -> Iterator[Callable[[int, State], State]]:
  """Yields what follows each step of the weights.

  Args:
    gates: of the run; None for one that has none.
    learn: of `make_step`; None likewise.
    setup: of the run.
    step: steps of the weights that are done already.

  Yields:
    `after(step, state) -> state`, called in order after every step; the gates learn
    after the first step and every `GateOptions.every` from there.
  """
  if gates is None or learn is None:
    yield lambda step, state: state
    return
  every = gates.options.every
  with contextlib.closing(setup.feed.choosing(-(-step // every))) as source:
    batches = prefetch(
      ({name: batch[name] for name in ("image", "label")} for batch in source),
      setup.mesh,
    )

    def after(step: int, state: State) -> State:
      return state if (step - 1) % every else learn(state, next(batches))

    yield after
