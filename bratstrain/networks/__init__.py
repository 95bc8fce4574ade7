"""Networks and losses: torch only."""
