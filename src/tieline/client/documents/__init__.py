"""The platform's records as files: read, compare, apply."""
