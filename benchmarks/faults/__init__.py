"""Faults injected into training runs."""
