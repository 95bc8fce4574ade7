"""Which files make a case."""
