"""Architecture search measured: supernets, strategies and what they find."""
