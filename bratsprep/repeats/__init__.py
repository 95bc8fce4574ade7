"""Repeated patients: the same person under two ids."""
