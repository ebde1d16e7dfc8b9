"""A generator, a backbone, a data set, a strategy and a format, each a module."""
