"""Checkpoints of a pytree, and what can go wrong while they are written or read."""
