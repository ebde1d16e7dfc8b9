"""Several processes and devices: how they meet, agree, and end together."""
