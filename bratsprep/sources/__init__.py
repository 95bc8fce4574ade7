"""Folders, tar and zip archives: bytes by name."""
