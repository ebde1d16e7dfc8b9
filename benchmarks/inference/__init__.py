"""Size and latency of exported networks."""
