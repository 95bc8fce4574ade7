"""Class balance, histograms, pages and previews."""
