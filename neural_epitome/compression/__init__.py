"""Any Flax parameter tree, stored small: without its model, data or training."""
