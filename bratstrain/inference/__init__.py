"""From a network to label maps."""
