"""The REST interface of the platform."""
