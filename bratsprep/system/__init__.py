"""Atomic writes, threads and memory: knows nothing of MRI."""
