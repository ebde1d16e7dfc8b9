"""Named experiments, one file each: what it trains, expected figures, the command."""
