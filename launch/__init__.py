"""Ways to start a run in several processes: here, and on clusters."""
