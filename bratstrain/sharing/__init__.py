"""Networks for others: what is written, and what is left out."""
