"""The method: kernels generated from epitomes. Needs JAX and Flax, nothing else.

Read in this order: `sampling` (an epitome and its offsets become a kernel),
`routing` (where offsets come from), `folding` and `integral` (running a layer
without its kernel), `generators` (the ways to make a kernel, one file each), `plan`
(which kernel is made how) and `plan_json` (the same as a file), `rates` (a generator
from one number), `sources` (a layer's own generator, or that of its plan), `variables`
(what a layer keeps in Flax's collections), `layers` (all of it as Flax modules).
"""
