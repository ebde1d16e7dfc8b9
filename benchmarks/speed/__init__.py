"""Training steps, input pipelines and scaling, timed."""
