"""Synthetic cases."""
