"""Trained networks compressed: error, accuracy and time."""
