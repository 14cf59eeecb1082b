"""Forwarders in a node: published ports, and the PROXY protocol."""
