# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Train a network from epitomes
#
# MobileNetV2 at full width. Each 1x1 kernel and the classifier is generated from an
# **epitome**, a tensor half its size, by gather and linear interpolation. The network
# trains on 10,000 images that come with the package, on whatever is here: a TPU, a GPU
# or a CPU (on Colab, *Runtime > Change runtime type*).
#
# 1. install, 2. the plan, 3. train with live curves, 4. look, 5. export.

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
from IPython.display import Image, display
from matplotlib import pyplot as plt

import neural_epitome as ne
from neural_epitome.cost import plan_table
from neural_epitome.export.job import export
from neural_epitome.report import figures, tables
from neural_epitome.training import setup
from neural_epitome.training.feed import Feed

plt.rcParams.update(figures.STYLE)
print(f"{jax.device_count()} x {jax.devices()[0].device_kind}, JAX {jax.__version__}")

# %% [markdown]
# ## What is trained
#
# The settings of this notebook. A directory that outlives the machine, such as a
# mounted Drive (`/content/drive/MyDrive/mine`), makes a run that a disconnected machine
# can resume: run the notebook again and it goes on where it was saved.

# %%
# Or another of: python -m neural_epitome.main --mode=list
EXPERIMENT = os.environ.get("EXPERIMENT", "mbv2_epitome")
EPOCHS = float(os.environ.get("EPOCHS", 5))
WORKDIR = Path(os.environ.get("WORKDIR", f"runs/{EXPERIMENT}"))

# %%
config = ne.load_experiment(EXPERIMENT)
config = dataclasses.replace(
  config,
  training=dataclasses.replace(config.training, epochs=EPOCHS, log_every=5),
)
inventory, plan = setup.plan(config)
print(plan_table.plan_table(plan, inventory))

# %% [markdown]
# ## Train
#
# The first step compiles. The curves follow every few seconds; interrupting the kernel
# stops the run, and the same cell resumes it.

# %%
with ne.live(WORKDIR):
  report = ne.run(config, WORKDIR, quiet=True)
print(tables.result_table(report))

# %% [markdown]
# The same curves, the plan and a picture of every routing map are in
# `report/index.html` of the run directory. One of these pictures: every channel pair of
# the epitome has a colour, and the kernel is painted by the sampling that generates it.

# %%
pictures = sorted((WORKDIR / "report" / "routing").glob("*.png"))
for picture in pictures[len(pictures) // 2 :][:1]:
  display(Image(picture.read_bytes()))

# %% [markdown]
# ## Look at what it sees
#
# `ne.load` gives the trained network: `.model`, `.variables`, `.plan`, `.config`,
# `.classes`.

# %%
trained = ne.load(WORKDIR)
batches = Feed(trained.config).evaluation()
batch = next(batches)
batches.close()

COUNT = 18
logits = jax.jit(lambda images: trained.model.apply(trained.variables, images))
probabilities = np.asarray(jax.nn.softmax(logits(batch["image"][:COUNT])))

figure, panels = plt.subplots(3, 6, figsize=(10.5, 6.3), layout="constrained")
for image, label, row, axes in zip(
  batch["image"], batch["label"], probabilities, panels.flat, strict=False
):
  named = trained.classes[row.argmax()]
  is_right = row.argmax() == label
  axes.imshow(image.mean(axis=-1), cmap="gray")
  axes.set(xticks=[], yticks=[])
  axes.grid(False)
  told = f"{named} {row.max():.0%}"
  if not is_right:
    told += f"\nis: {trained.classes[label]}"
  axes.set_title(
    told, color="black" if is_right else figures.EMA, loc="center", fontsize=9
  )
right = np.mean(probabilities.argmax(1) == batch["label"][:COUNT])
figure.suptitle(f"{COUNT} test images, {right:.0%} right; in colour what is wrong")
plt.show()

# %% [markdown]
# ## Export
#
# A compact file holds what is stored, here in integers of 8 bits, and is read with
# NumPy alone. Other formats: `c`, `stablehlo`, `onnx`, `litert`.

# %%
exported = export(trained, Path("exported"), ["compact"], bits=8, quiet=True)
print(tables.export_table(exported))

# %% [markdown]
# The same job from a shell, and a comparison of runs:
#
#     python -m neural_epitome.main --experiment=mbv2_epitome
#     python -m neural_epitome.main --mode=compare runs
