"""Settings and retention."""
