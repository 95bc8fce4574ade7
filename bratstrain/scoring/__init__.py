"""Metrics of label maps, and statistics over cases: NumPy and Numba only."""
