"""What an architecture asks for and what a plan for it costs."""
