"""Alerts: somebody's webhook hears when a private link or what is behind it changes state."""
