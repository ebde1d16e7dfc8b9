"""What a run reads: prepared data sets, class folders, augmentation, batches.

Nothing is imported here: the libraries behind these modules (Grain, OpenCV, TFDS)
are heavy, and a network can be planned, priced and loaded without any of them.
"""
