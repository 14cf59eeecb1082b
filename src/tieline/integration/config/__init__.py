"""What the integration is told to do: resources, rules and actions as frozen values, and their checks.

Here belongs the shape of a configuration. It never does I/O. Public: `Config`, `Definition`.
"""
