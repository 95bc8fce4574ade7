"""What this machine and this installation have, what is missing, and what to do about it."""
