"""Shuffle and deflate: knows nothing of MRI or HDF5."""
