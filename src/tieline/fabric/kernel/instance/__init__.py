"""An instance: its root, its limits, its process 1."""
