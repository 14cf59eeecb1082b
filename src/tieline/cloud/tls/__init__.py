"""Certificates that the platform makes, and their renewal."""
