"""People, keys, the audit log."""
