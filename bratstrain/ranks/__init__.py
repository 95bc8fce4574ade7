"""The processes that fit one run together."""
