# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What a routing map is
#
# A layer wants a kernel and stores an **epitome**, a smaller tensor. The kernel is cut
# into replicas of the epitome's channels; each replica is the epitome read from some
# place on, round a ring. The **routing map** is these places. Here: how a kernel comes
# out of its epitome, three ways to choose the places side by side, where the replicas
# of a trained network come from, and why the layer runs without its kernel.

# %%
# Installs the package once, beside the JAX that is already here: pip may not replace
# it, and says so where the package needs a newer one.
import importlib.metadata
import importlib.util
import subprocess
import sys

# A checkout, or "git+https://HOST/OWNER/neural_epitome".
SOURCE = "../.."

if importlib.util.find_spec("neural_epitome") is None:
  found = {d.name.lower(): d.version for d in importlib.metadata.distributions()}
  kept = [n for n in found if n.startswith(("jax", "libtpu")) or n == "numpy"]
  with open("kept.txt", "w") as file:
    file.writelines(f"{name}=={found[name]}\n" for name in kept)
  pip = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint=kept.txt"]
  subprocess.run([*pip, SOURCE], check=True)

# %%
import dataclasses
import os

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt

import neural_epitome as ne
from neural_epitome.cost.plan_table import shape_text
from neural_epitome.epitome import folding, routing, sampling
from neural_epitome.report import figures, routing_maps, tables
from neural_epitome.training import setup
from neural_epitome.training.feed import Feed

plt.rcParams.update(figures.STYLE)
EPOCHS = float(os.environ.get("EPOCHS", 3))

# %% [markdown]
# ## From an epitome to a kernel
#
# A kernel of a dense layer, or a 1x1 convolution: 12 input and 24 output channels, 288
# numbers, from an epitome of 6 x 8, 48 numbers. The map says where each of 2 replicas
# along the inputs and of 3 along the outputs starts.

# %%
CELLS, SHAPE = (6, 8), (12, 24)
OFFSETS = {"input": jnp.float32([0, 2]), "output": jnp.float32([0, 3, 6])}

# Smooth, so that a shift shows; no trained epitome looks like this.
row, column = np.indices(CELLS)
epitome = np.sin(2 * np.pi * row / 6 + 1) + np.cos(2 * np.pi * column / 8 + row / 2)
kernel = sampling.sample(jnp.float32(epitome), OFFSETS, SHAPE)


def draw(axes, values, title, **more):
  """One matrix as a picture, channels along the axes."""
  picture = axes.imshow(values, **{"cmap": "PuOr", "vmin": -2, "vmax": 2} | more)
  axes.grid(False)
  axes.set(title=title, xlabel="output channel", ylabel="input channel")
  axes.locator_params(integer=True, nbins=6)
  return picture


def draw_borders(axes, shape, cells):
  """Lines between the replicas of a kernel."""
  for start in range(cells[0], shape[0], cells[0]):
    axes.axhline(start - 0.5, color="black", linewidth=1.2)
  for start in range(cells[1], shape[1], cells[1]):
    axes.axvline(start - 0.5, color="black", linewidth=1.2)


figure, (left, right) = plt.subplots(
  1, 2, figsize=(10, 3.4), width_ratios=(1, 2.2), layout="constrained"
)
draw(left, epitome, "epitome 6x8, replicas start at o")
starts = [(d, c) for c in OFFSETS["input"] for d in OFFSETS["output"]]
left.plot(*zip(*starts, strict=True), "o", mfc="white", mec="black", ms=7)
shown = draw(right, kernel, "kernel 12x24 of 6 replicas")
draw_borders(right, SHAPE, CELLS)
figure.colorbar(shown, ax=right, label="value")
plt.show()

# %% [markdown]
# A start may lie between two cells; then neighbours are blended. That is what makes the
# map trainable: the kernel changes smoothly, with a gradient, as a start moves.

# %%
ring = jnp.float32([0.2, 1.0, 0.6, -0.4, -1.0, -0.1, 0.8, 0.5])
START = 4.4
read = sampling.repeat_shifted(ring, jnp.float32([START]), len(ring), axis=0)
slope = jax.jacobian(
  lambda start: sampling.repeat_shifted(ring, start[None], len(ring), axis=0)
)(jnp.float32(START))

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
along = np.arange(2 * len(ring))
left.plot(along, np.tile(ring, 2), color=figures.TRAIN, label="straight between cells")
left.plot(along[:8], ring, "s", color=figures.RAW, ms=7, label="cells of the epitome")
left.plot(along[8:], ring, "s", color=figures.RAW, ms=7, alpha=0.3, label="round again")
places = START + np.arange(len(ring))
left.plot(places, read, "o", color=figures.EMA, ms=7, label=f"read from {START} on")
left.set(
  title="one replica reads a ring", xlabel="cell", ylabel="value", ylim=(-1.2, 2)
)
left.legend(loc="upper center", ncols=2)
right.axhline(0, color="black", linewidth=0.8)
right.bar(np.arange(len(ring)), slope, color=figures.EMA)
right.set(title="how the kernel changes as its start moves by a cell")
right.set(xlabel="channel of the replica", ylabel="change of value")
plt.show()

# %% [markdown]
# ## Tile, random, learned
#
# A small ResNet learns its maps: an index learner reads each layer's input and says
# where the replicas start. Its maps may move faster here than the recipe lets them, so
# that there is something to see.

# %%
config = ne.load_experiment("quick")
config = dataclasses.replace(
  config,
  data=dataclasses.replace(config.data, train_split="train[:3200]"),
  optimizer=dataclasses.replace(config.optimizer, index_multiplier=10.0),
  training=dataclasses.replace(config.training, epochs=EPOCHS, ema_decay=0.0),
)
report = ne.run(config, f"runs/routing_map_{EPOCHS:g}", quiet=True)
trained = ne.load(f"runs/routing_map_{EPOCHS:g}")
learned = routing_maps.layers(jax.device_get(trained.variables["routing"]))
print(tables.result_table(report))

# %% [markdown]
# One layer, and the same epitome under three maps. Every channel pair of the epitome
# has a colour of its own; a kernel is painted by the sampling that generates it. Under
# a tile the picture repeats; under any other map the copies are shifted against each
# other, so pairs of channels meet that never meet in a tile.

# %%
LAYER = "block_2/conv_1"
stored = trained.plan.kernels[f"{LAYER}/kernel"]
shape, cells = stored.shape, stored.generator.shape
random = routing.starting_offsets(
  routing.IndexOptions(start="random"),
  jax.random.key(1),
  stored.generator.offsets(shape),
  stored.generator.start_cells(shape),
)
MAPS = {"tile": {}, "random": jax.device_get(random), "learned": learned[LAYER]}

figure, panels = plt.subplots(1, 4, figsize=(12, 3), layout="constrained")
draw(
  panels[0],
  routing_maps.palette(*cells[-2:]),
  f"epitome {shape_text(cells)}",
)
for (name, offsets), axes in zip(MAPS.items(), panels[1:], strict=True):
  painted = routing_maps.painted(offsets, shape, cells)
  draw(axes, painted, f"kernel {shape_text(shape)}, {name}", aspect="auto")
  draw_borders(axes, shape[-2:], cells[-2:])
panels[0].set_aspect("auto")
plt.show()

# %% [markdown]
# The kernel is linear in its epitome, so the gradient of the kernel's sum counts how
# often each stored number is read. The last replicas are cut short: under a tile they
# read the first cells once more, under another map other cells.


# %%
@jax.jit
def reads(offsets):
  """How often a channel pair of the epitome is read, a mean over its window."""

  def kernel_sum(epitome):
    return sampling.sample(epitome, offsets, shape).sum()

  return jax.grad(kernel_sum)(jnp.zeros(cells)).sum((0, 1)) / np.prod(shape[:-2])


counts = {name: reads(offsets) for name, offsets in MAPS.items()}
top = max(count.max() for count in counts.values())
figure, panels = plt.subplots(1, 3, figsize=(11, 3), layout="constrained")
for (name, count), axes in zip(counts.items(), panels, strict=True):
  shown = draw(axes, count, name, cmap="viridis", vmin=0, vmax=top, aspect="auto")
figure.colorbar(shown, ax=panels, label="reads of a channel pair")
plt.show()

# %% [markdown]
# ## Where the replicas come from
#
# All layers of the trained network. A circle is one epitome's ring of channels, their
# number in the middle, channel 0 on top; each replica has its own radius. A replica
# moved from the open mark, where it started before training, to the filled one. Shipped
# starts are whole channels.

# %%
plans = {layer: trained.plan.kernels[f"{layer}/kernel"] for layer in learned}
before = {
  layer: routing.starting_offsets(
    config.indices,
    jax.random.key(0),
    plan.generator.offsets(plan.shape),
    plan.generator.start_cells(plan.shape),
  )
  for layer, plan in plans.items()
}

figure, panels = plt.subplots(
  2,
  len(learned),
  figsize=(1.45 * len(learned), 3.6),
  subplot_kw={"projection": "polar"},
  layout="constrained",
)
for place, (layer, plan) in enumerate(plans.items()):
  for axis, axes, size in zip(
    ("input", "output"), panels[:, place], plan.generator.shape[-2:], strict=True
  ):
    axes.set(xticks=[], yticks=[], ylim=(0, 1.1), theta_zero_location="N")
    axes.set_theta_direction(-1)
    axes.spines["polar"].set_visible(False)
    axes.text(0, 0, size, ha="center", va="center", color="#5a6875", fontsize=8)
    # A replica has a radius of its own, so that what moves does not cover the rest.
    begin = np.asarray(before[layer].get(axis, [0.0])) * 2 * np.pi / size
    end = np.asarray(learned[layer].get(axis, [0.0])) * 2 * np.pi / size
    for number, (a, b) in enumerate(zip(begin, end, strict=True)):
      radius = 1 - 0.14 * number
      round_ = np.linspace(0, 2 * np.pi, 200)
      axes.plot(round_, np.full(200, radius), color="#e3e8ee", linewidth=0.8)
      arc = np.linspace(a, b, 100)
      axes.plot(arc, np.full(100, radius), color=figures.EMA, linewidth=1.6)
      axes.plot(a, radius, "o", mfc="white", mec=figures.RAW, ms=6)
      axes.plot(b, radius, "o", color=figures.EMA, ms=4)
  panels[0, place].set_title(layer.replace("/", "\n"), loc="center", fontsize=9)
for axis, axes in zip(("input", "output"), panels[:, 0], strict=True):
  axes.set_ylabel(f"{axis}\nchannels", rotation=0, ha="right", va="center")
plt.show()

# %% [markdown]
# ## Without the kernel
#
# Reading the epitome from the same places commutes with the layer: wrap the input's
# channels, apply the small epitome, replicate the output. Below, one position of the
# layer above, step by step, beside what the full kernel gives.

# %%
x = jax.random.normal(jax.random.key(2), SHAPE[:1])
wrapped = folding.wrap(x, OFFSETS["input"], CELLS[0])
small = wrapped @ jnp.float32(epitome)
folded = sampling.repeat_shifted(small, OFFSETS["output"], SHAPE[1], axis=-1)
STEPS = {
  "input, 12 channels": x,
  "wrapped into 6": wrapped,
  "times the epitome, 8": small,
  "replicated, 24": folded,
  "input times the kernel, 24": x @ kernel,
}

figure, panels = plt.subplots(5, 1, figsize=(9, 3.4), layout="constrained")
for (name, values), axes in zip(STEPS.items(), panels, strict=True):
  limit = float(abs(values).max())
  axes.imshow(values[None], cmap="PuOr", vmin=-limit, vmax=limit, aspect="auto")
  axes.set(xlim=(-0.5, 23.5), xticks=[], yticks=[])
  axes.spines[:].set_visible(False)
  axes.grid(False)
  axes.set_ylabel(name, rotation=0, ha="right", va="center")
  for border in range(0, len(values), CELLS[0] if values is x else CELLS[1]):
    if border:
      axes.axvline(border - 0.5, color="black", linewidth=1.2)
figure.suptitle("folded: the last two rows are the same numbers")
plt.show()
print(f"largest difference {abs(folded - x @ kernel).max():.1e}")
print(
  f"{SHAPE[0] * SHAPE[1]} multiply-adds with the kernel, {CELLS[0] * CELLS[1]} folded"
)

# %% [markdown]
# The whole network, its kernels built and folded:

# %%
with Feed(trained.config).evaluation() as batches:
  images = next(batches)["image"]
runs = {}
for execution in ("materialise", "fold"):
  chosen = dataclasses.replace(trained.config, execution=execution)
  model = setup.build(chosen, len(trained.classes), trained.plan)
  apply = jax.jit(lambda x, m=model: m.apply(trained.variables, x))
  runs[execution] = apply(images)
  print(f"{execution:12} first logits {np.round(runs[execution][0, :4], 4)}")
difference = abs(runs["fold"] - runs["materialise"]).max()
print(f"largest difference of {images.shape[0]} x 10 logits: {difference:.1e}")
