"""From slice file to batches: splits, sampling, loading, augmentation."""
