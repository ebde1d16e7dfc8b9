"""Networks that were trained elsewhere: torchvision's, timm's and transformers'."""

import dataclasses
import os
from collections.abc import Sequence

from neural_epitome.config import Config
from neural_epitome.errors import UserError
from neural_epitome.planning import DensePlanner
from neural_epitome.state_dicts import conversion, projections, reading
from neural_epitome.state_dicts.reading import is_state_dict
from neural_epitome.training import setup
from neural_epitome.training.trained import Trained

__all__ = ["is_state_dict", "load_pretrained"]


def load_pretrained(
  file: str | os.PathLike, config: Config, classes: Sequence[str] | None = None
) -> Trained:
  """Loads the weights of another library's network of the same architecture.

  Known are torchvision's and timm's MobileNetV2, EfficientNet and ResNet, and the
  vision transformers of timm and transformers, without a distillation token. Strides
  may differ, and so may the number of classes, which is the file's; positions of a
  vision transformer are of one image size. Images are to be normalised as that
  network's were (`config.data.mean` and `std`). timm's `tf_` networks have the same
  names and another padding: their answers would be wrong.

  Args:
    file: .safetensors, or .pth, .pt or .bin of `torch.save`.
    config: its architecture is that of the file; its planner has no part in this.
    classes: names by label; their numbers by default.

  Returns:
    The dense network, as `load` returns that of a run.

  Raises:
    UserError: if the file is absent, damaged or asks to run code; naming missing,
      superfluous and unfit tensors if it is of another network; if the number of
      classes is not that of their names, or the epsilon of the batch norms another.
  """
  state = projections.joined(reading.read(file))
  try:
    state = conversion.unwrapped(state, config.model)
    names = conversion.recognise(state, config.model)
    count = conversion.count_classes(state, names)
    if classes is not None and len(classes) != count:
      raise UserError(f"it tells {count} classes apart, not {len(classes)}.")
    inventory = setup.take_inventory(config, count)
    if inventory.batch_norms and config.norm.epsilon != conversion.EPSILON:
      raise UserError(
        f"config.norm.epsilon={config.norm.epsilon:g} is not that of its batch norms: "
        f"set --config.norm.epsilon={conversion.EPSILON:g}."
      )
    variables = conversion.convert(state, names, inventory)
  except UserError as error:
    raise UserError(f"{file}: {error}") from None
  config = dataclasses.replace(config, planner=DensePlanner())
  plan = setup.make_plan(config, inventory)
  return Trained(
    model=setup.build(config, count, plan),
    variables=variables | {"routing": {}},
    plan=plan,
    config=config,
    classes=tuple(map(str, range(count) if classes is None else classes)),
    step=0,
    weights="raw",
  )
