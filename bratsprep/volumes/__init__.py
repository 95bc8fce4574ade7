"""From NIfTI files to RAS+ volumes and normalised planes."""
