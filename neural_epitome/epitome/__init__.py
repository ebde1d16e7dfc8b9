"""The method: kernels generated from epitomes. Needs JAX and Flax, nothing else.

Read in this order: `sampling` (an epitome and its offsets become a kernel),
`routing` (where offsets come from), `folding` and `integral` (running a layer
without its kernel), `generators` (the ways to make a kernel, one file each), `plan`
(which kernel is made how), `rates` (a generator from one number), `variables` (what a
layer keeps in Flax's collections), `layers` (all of it as Flax modules).
"""
