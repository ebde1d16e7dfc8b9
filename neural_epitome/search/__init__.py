"""Searching a space of architectures with one set of weights."""
