"""HTML reports and comparison pages."""
