"""Which cases are scored, how they are paired, and tables of scores."""
