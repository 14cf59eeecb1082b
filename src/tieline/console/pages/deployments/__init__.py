"""Deployments: the list, a new one, one with its tabs."""
