"""Methods compared at equal stored size."""
