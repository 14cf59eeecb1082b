"""The platform as one object: every part of the cloud with its records."""
