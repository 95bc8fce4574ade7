"""Repeated patients in a cross-validation: who is exposed, and what it does to the scores."""
