"""Measurements: scripts that write CSV; results/ holds what they wrote."""
