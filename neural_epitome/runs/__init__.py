"""What a run writes and shows: its directory, metrics, progress and profile."""
