"""Accuracy at equal bytes on CIFAR-100: the jobs of `benchmarks.queue`."""
