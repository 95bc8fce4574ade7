"""Independent recomputation of a slice file."""
