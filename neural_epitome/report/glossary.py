"""What the words on the page of a run mean, in the order in which they appear."""

from collections.abc import Iterable

RESULT = {
  "top-1": (
    "Share of the evaluation examples whose most probable class is the right one."
  ),
  "top-1, EMA weights": (
    "The same with the exponential moving average of the weights over the training "
    "steps, which evaluate, predict and export take where it is kept."
  ),
  "stored parameters": (
    "Numbers that the trained network stores: the tensors its kernels are generated "
    "from, routing maps, kernels that are not compressed, biases, scale and bias of "
    "batch norms."
  ),
  "expanded parameters": (
    "Parameters that the network computes with, once every kernel is generated."
  ),
  "stored bytes": (
    "The bytes of the stored parameters: kernels at --config.bits, 4 bytes a number "
    "for the rest."
  ),
  "MAdds": (
    "Multiply-adds of the convolutions and dense layers for one example, as this run "
    "executed them."
  ),
  "MAdds with --config.execution=fold": (
    "Multiply-adds where a layer is computed on the epitome and its outputs are "
    "reused, with the same result. Exported programs do it."
  ),
  "adds for wrapping": (
    "Additions that folding needs to put the reused outputs together."
  ),
  "training seconds": "Wall-clock time of all sessions, compilation included.",
  "dense": "The same architecture with every kernel stored as it is.",
  "ratio": "This network's number over that of the dense one.",
}

CLASSES = {
  "examples": "Examples of the class in the evaluation split.",
  "top-1": "Share of them whose most probable class is the right one.",
  "confusion matrix": (
    "A row is the true class, a column the predicted one, a cell the number of "
    "examples. The diagonal, blue, is right; darker is a greater share of the row."
  ),
  "confidence": "The probability that the network gives to its most probable class.",
}

TRAINING = {
  "loss": (
    "Cross-entropy in nats; in training with smoothed labels and mixed examples, if "
    "the experiment uses them, so it need not be comparable to that of evaluation."
  ),
  "EMA": "With the exponential moving average of the weights.",
  "training batch": "Top-1 of the batch of one step, augmented and before its update.",
  "learning rate": "Factor of the update, by schedule.",
  "waiting for input": (
    "Share of the time in which the devices had no batch to work on."
  ),
}

PLAN = {
  "kernel": (
    "Shape of the weights that the layer computes with: window x input channels x "
    "output channels."
  ),
  "epitome": (
    "Shape of the smaller tensor that is stored and trained instead. The kernel is cut "
    "into blocks no larger than the epitome, its replicas; each is read out of the "
    "epitome from an offset on, going round at the end."
  ),
  "factorised, blockwise, tile": (
    "How many offsets there are: one for each row and each column of replicas, one for "
    "every replica, or none, so that all start at the same place."
  ),
  "stored": "Numbers that are stored for the kernel, its offsets included.",
  "rate": "Size of the kernel over what is stored for it; of windows, in bytes.",
  "routing map": (
    "The offsets of a kernel. Where they are learned, they are frozen for the last "
    "part of the training."
  ),
}


def of(words: dict[str, str], shown: Iterable[str]) -> dict[str, str]:
  """The entries of `words` whose keys are among `shown`, in their order."""
  seen = set(shown)
  return {word: meaning for word, meaning in words.items() if word in seen}
