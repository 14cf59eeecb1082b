"""Rules of a deployment: created, changed, tried on samples."""
