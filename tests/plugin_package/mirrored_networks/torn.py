"""What does not import."""

raise ImportError("this machine has no toner")
