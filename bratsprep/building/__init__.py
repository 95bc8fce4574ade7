"""From raw cases to a slice file, resumable."""
