# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Compress your own model
#
# `ne.compress` stores the parameters of any Flax model, Linen or NNX, in as many bytes
# as you say. Here a small convolutional network is trained in this notebook; it knows
# nothing of epitomes. Then: compress it, look at the error of each kernel, train on
# what is stored, save it, and read the file back with NumPy alone.

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
from pathlib import Path

import jax
import numpy as np
import optax
from flax import linen as nn
from flax import traverse_util
from matplotlib import pyplot as plt

import neural_epitome as ne
from neural_epitome.compression import compact_reader
from neural_epitome.data import pipeline, sources
from neural_epitome.data.options import DataOptions
from neural_epitome.report import figures

plt.rcParams.update(figures.STYLE)
EPOCHS = int(os.environ.get("EPOCHS", 4))
BUDGET, BITS = "4x", 8

# %% [markdown]
# ## A model
#
# Any module and any data. The images are those that come with the package.

# %%


def read(split):
  """All images of a split, normalised float32, and their labels."""
  options = DataOptions()
  source = sources.open_source(options, split)
  images, labels = [], []
  with pipeline.evaluation_batches(source, options) as batches:
    for batch in batches:
      images.append(batch["image"][batch["mask"] > 0])
      labels.append(batch["label"][batch["mask"] > 0])
  return np.concatenate(images), np.concatenate(labels)


class Network(nn.Module):
  """Four convolutions and a classifier."""

  @nn.compact
  def __call__(self, x):
    """Logits (batch, 10) of images (batch, height, width, 1)."""
    for features, stride in ((16, 2), (32, 2), (64, 1), (128, 2)):
      x = nn.Conv(features, (3, 3), strides=stride, use_bias=False)(x)
      x = nn.relu(nn.GroupNorm(num_groups=8)(x))
    return nn.Dense(10)(x.mean(axis=(1, 2)))


images, labels = read("train")
test_images, test_labels = read("test")
model = Network()
params = jax.jit(model.init)(jax.random.key(0), images[:1])["params"]
count = sum(leaf.size for leaf in jax.tree.leaves(params))
print(f"{len(images):,} images, {count:,} parameters")

# %% [markdown]
# One training loop serves twice. `expand` turns what is trained into parameters:
# nothing to do for the dense network, `small.expand` for a compressed one.

# %%


def train(values, expand, epochs, learning_rate, seed=0):
  """Trains `values` with AdamW and a cosine; returns them and each step's loss."""
  batch, random = 100, np.random.default_rng(seed)
  steps = epochs * (len(images) // batch)
  schedule = optax.cosine_decay_schedule(learning_rate, steps)
  rule = optax.adamw(schedule, weight_decay=1e-4)

  def loss(values, x, y):
    logits = model.apply({"params": expand(values)}, x)
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

  @jax.jit
  def step(values, state, x, y):
    found, gradients = jax.value_and_grad(loss)(values, x, y)
    updates, state = rule.update(gradients, state, values)
    return optax.apply_updates(values, updates), state, found

  state, losses = rule.init(values), []
  for _ in range(epochs):
    for rows in random.permutation(len(images)).reshape(-1, batch):
      values, state, found = step(values, state, images[rows], labels[rows])
      losses.append(found)
  return values, np.asarray(jax.device_get(losses))


@jax.jit
def logits(params, x):
  """Of the network with these parameters in full."""
  return model.apply({"params": params}, x)


def top1(params):
  """Per cent of the test images that are named right."""
  found = [logits(params, x) for x in np.split(test_images, 4)]
  return 100 * float(np.mean(np.concatenate(found).argmax(1) == test_labels))


params, dense_losses = train(params, lambda params: params, EPOCHS, 3e-3)
TOP1 = {"dense": top1(params)}
print(f"dense: {TOP1['dense']:.1f}% of {len(test_labels):,} test images")

# %% [markdown]
# ## Compress
#
# The budget is a number of bytes ("100kB"), of parameters ("50k parameters"), or a rate
# of the kernels ("10x"). `closed` is the least-squares fit of a fixed sharing of
# channels; `full` also searches which channels share. A line a kernel, with its
# relative error; kernels of fewer than five inputs stay dense, and are only rounded.

# %%
RULE = ne.ChannelEpitomeRule()
closed = ne.compress(params, BUDGET, rule=RULE, bits=BITS)
small = ne.compress(params, BUDGET, rule=RULE, bits=BITS, fit="full", quiet=True)
TOP1["closed"] = top1(closed.expand(closed.compact))
TOP1["full"] = top1(small.expand(small.compact))
print(small)

# %%
names = list(small.errors)
height = np.arange(len(names))
figure, axes = plt.subplots(figsize=(8, 0.5 * len(names) + 1.2), layout="constrained")
for place, fit, found, colour in (
  (-0.2, "closed", closed, figures.TRAIN),
  (0.2, "full", small, figures.RAW),
):
  errors = [found.errors[name] for name in names]
  axes.barh(height + place, errors, 0.38, color=colour, label=f"fit={fit!r}")
axes.set(title="what compression lost of each kernel, before training on")
axes.set(xlabel="relative error, |generated - given| / |given|", xlim=(0, 1))
axes.set_yticks(height, names)
axes.invert_yaxis()
axes.grid(axis="y", visible=False)
figure.legend(loc="outside right center")
plt.show()

# %% [markdown]
# ## Train on
#
# `expand` is a pure function of what is stored, so what is stored is what an optimiser
# trains. Integers are rounded already in training; gradients pass straight through.

# %%
tuned, losses = train(small.compact, small.expand, EPOCHS, 2e-3, seed=1)
TOP1["full, trained on"] = top1(small.expand(tuned))

figure, (left, right) = plt.subplots(
  1, 2, figsize=(10, 3.2), width_ratios=(1.3, 1), layout="constrained"
)
for values, name, colour in (
  (dense_losses, "dense, from random values", figures.TRAIN),
  (losses, "compressed, trained on", figures.EMA),
):
  smooth = np.convolve(values, np.ones(20) / 20, mode="valid")
  left.plot(
    np.arange(len(smooth)) + 20, smooth, color=colour, label=name, linewidth=1.8
  )
left.set(
  title="training loss, mean of 20 steps", xlabel="step", ylabel="nats", ylim=(0, None)
)
left.legend()
colours = [figures.TRAIN, figures.RAW, figures.RAW, figures.EMA]
bars = right.barh(list(TOP1), list(TOP1.values()), color=colours)
right.bar_label(bars, fmt="%.1f", padding=3)
right.set(title="top-1, %", xlim=(0, 112), xticks=range(0, 101, 20))
right.invert_yaxis()
right.grid(axis="y", visible=False)
plt.show()

# %% [markdown]
# ## Save, and read with NumPy alone
#
# `compact_reader.py` is one module that needs NumPy and nothing else; it may be copied
# to where JAX is not.

# %%
path = Path("small.safetensors")
dataclasses.replace(small, compact=tuned).save(path)
print(f"{path.stat().st_size:,} bytes; {4 * count:,} as float32")

script = """
import sys
sys.path.insert(0, sys.argv[1])
import compact_reader
parameters = compact_reader.read(sys.argv[2]).parameters()
print(*(f"{name:22} {value.shape}" for name, value in parameters.items()), sep="\\n")
print("jax imported:", "jax" in sys.modules)
"""
folder = str(Path(compact_reader.__file__).parent)
command = [sys.executable, "-c", script, folder, str(path)]
print(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

# %% [markdown]
# The file's parameters in the network: the same answers.

# %%
read_back = compact_reader.read(path).parameters()
read_back = traverse_util.unflatten_dict(read_back, sep="/")
expanded = small.expand(tuned)
difference = jax.tree.map(lambda a, b: float(abs(a - b).max()), read_back, expanded)
print(f"largest difference of a parameter: {max(jax.tree.leaves(difference)):.1e}")
was, now = TOP1["full, trained on"], top1(read_back)
print(f"top-1 of the file: {now:.1f}%, of the network: {was:.1f}%")

# %% [markdown]
# ## A network from elsewhere
#
# A state dict of torchvision's or timm's MobileNetV2, EfficientNet or ResNet is read
# without torch. Say where it lies:

# %%
STATE_DICT = ""  # "mobilenet_v2.pth"

if STATE_DICT:
  trained = ne.load_pretrained(STATE_DICT, ne.load_experiment("mbv2_epitome_imagenet"))
  print(ne.compress(trained.variables, "4MB", rule=RULE, bits=BITS))
