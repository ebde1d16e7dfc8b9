"""Networks that nobody here described: a file of weights in, a smaller one out."""
